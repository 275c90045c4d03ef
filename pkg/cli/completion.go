package cli

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/util/duration"
	"k8s.io/client-go/tools/clientcmd/api"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/internal/printable"
)

// The limits of a shell completion: its time, and the records that it reads.
const (
	completionTimeout = 3 * time.Second
	completionRecords = 1000
)

// suggestFunc returns suggestions. A suggestion is a value, or a value, a tab
// and a description. It returns no error: a completion that fails has no
// suggestions.
type suggestFunc func(context.Context, *session) []string

// completeMany completes the arguments of get: types, and names after a type.
func (c *connection) completeMany(
	cmd *cobra.Command, args []string, toComplete string,
) ([]string, cobra.ShellCompDirective) {
	// 1. The name in TYPE/NAME.
	if kind, _, slash := strings.Cut(toComplete, "/"); slash {
		return c.suggest(cmd, toComplete, func(ctx context.Context, s *session) []string {
			return s.suggestNames(ctx, kind, kind+"/")
		})
	}
	// 2. A name after a type. Names that are given already are not repeated.
	if len(args) > 0 && !strings.Contains(args[0], "/") {
		return c.suggest(cmd, toComplete, func(ctx context.Context, s *session) []string {
			return slices.DeleteFunc(s.suggestNames(ctx, args[0], ""), func(name string) bool {
				return slices.Contains(args[1:], name)
			})
		})
	}
	// 3. A type, possibly after others and a comma.
	prefix := toComplete[:strings.LastIndex(toComplete, ",")+1]
	return c.suggest(cmd, toComplete, func(ctx context.Context, s *session) []string {
		return s.suggestTypes(ctx, prefix)
	})
}

// completeOne completes TYPE NAME and TYPE/NAME, and revisions after them.
func (c *connection) completeOne(
	cmd *cobra.Command, args []string, toComplete string,
) ([]string, cobra.ShellCompDirective) {
	if len(args) > 1 || len(args) == 1 && strings.Contains(args[0], "/") {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	if name, _, isReference := strings.Cut(toComplete, "#"); isReference {
		return c.completeVersions(cmd, append(slices.Clone(args), name), toComplete, "", func(e *v1.Event) string {
			return fmt.Sprintf("%s#%d", name, e.Revision)
		})
	}
	return c.completeMany(cmd, args, toComplete)
}

// suggest calls f with a session. If that fails, there are no suggestions and
// no output, because the cursor is in the middle of a line. Credential plugins
// can't prompt.
func (c *connection) suggest(
	cmd *cobra.Command, toComplete string, f suggestFunc,
) ([]string, cobra.ShellCompDirective) {
	ctx, cancel := context.WithTimeout(cmd.Context(), completionTimeout)
	defer cancel()
	// The environment may be changed: a completion process runs no command.
	c.env.ErrOut = io.Discard
	c.nonInteractive = true
	s, err := c.open(ctx)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	defer s.Close()
	if all, _ := cmd.Flags().GetBool("all-namespaces"); all {
		s.namespace = history.AllNamespaces
	}
	return typable(f(ctx, s), toComplete), cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
}

// typable returns the suggestions that start with toComplete, each once. Values
// with white space or unsafe characters are omitted, because users can't type
// them.
func typable(all []string, toComplete string) []string {
	var kept []string
	for _, suggestion := range all {
		value, description, described := strings.Cut(suggestion, "\t")
		if !strings.HasPrefix(value, toComplete) || printable.Text(value) != value || len(strings.Fields(value)) != 1 {
			continue
		}
		if described {
			value += "\t" + printable.Line(description)
		}
		if !slices.Contains(kept, value) {
			kept = append(kept, value)
		}
	}
	return kept
}

// suggestTypes returns the recorded types, each after a prefix.
func (s *session) suggestTypes(ctx context.Context, prefix string) []string {
	list, err := s.Resources(ctx)
	if err != nil {
		return nil
	}
	var names []string
	for _, r := range resources(list) {
		names = append(names, prefix+r.GroupResource().String())
	}
	return names
}

// suggestNames returns the names of recorded objects, each after a prefix. The
// types are separated by commas. Deleted objects are included, and the objects
// that changed last come first.
func (s *session) suggestNames(ctx context.Context, types, prefix string) []string {
	var names []string
	for kind := range strings.SplitSeq(types, ",") {
		matches, err := s.types.matches(ctx, kind)
		if err != nil {
			return nil
		}
		for _, m := range matches {
			sub := subject{resourceType: resourceType{Group: m.Group, Plural: m.Plural, Namespaced: m.Namespaced}}
			for _, e := range s.newestOf(ctx, sub, "") {
				if !strings.Contains(e.ResourceName, "\t") { // a tab starts a description
					names = append(names, prefix+e.ResourceName)
				}
			}
		}
	}
	return names
}

// newestOf returns the newest records of a type or of one object, without
// bodies. On errors it returns none.
func (s *session) newestOf(ctx context.Context, sub subject, uid string) []v1.Event {
	found, err := s.newestVersions(ctx, sub, uid, completionRecords)
	if err != nil {
		return nil
	}
	return found
}

// completeRevisions completes --revision for the object in args.
func (o *historyOptions) completeRevisions(
	cmd *cobra.Command, args []string, toComplete string,
) ([]string, cobra.ShellCompDirective) {
	return o.completeVersions(cmd, args, toComplete, o.uid, func(e *v1.Event) string { return fmt.Sprint(e.Revision) })
}

// completeUIDs completes --uid for the object in args.
func (c *connection) completeUIDs(
	cmd *cobra.Command, args []string, toComplete string,
) ([]string, cobra.ShellCompDirective) {
	return c.completeVersions(cmd, args, toComplete, "", func(e *v1.Event) string { return e.UID })
}

// completeVersions suggests a value of each version of an object. Each value is
// described by its newest version.
//
// The type is looked up in the recorder's catalogue only. Discovery may take
// longer than completionTimeout.
func (c *connection) completeVersions(
	cmd *cobra.Command, args []string, toComplete, uid string, value func(*v1.Event) string,
) ([]string, cobra.ShellCompDirective) {
	object, err := parseObject(args)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return c.suggest(cmd, toComplete, func(ctx context.Context, s *session) (all []string) {
		resolved, err := s.types.fromCatalogue(ctx, object.kind)
		if err != nil {
			return nil
		}
		seen := map[string]bool{}
		for _, e := range s.newestOf(ctx, subject{resolved, object.name}, uid) {
			if v := value(&e); !seen[v] { // newest first
				seen[v] = true
				age := duration.HumanDuration(max(c.env.recorderNow().Sub(e.Timestamp), 0))
				all = append(all, fmt.Sprintf("%s\t%s ago: %s %s", v, age, e.Verb, e.Summary))
			}
		}
		return all
	})
}

// addCompletion adds the command that prints scripts for shells.
func addCompletion(root *cobra.Command, conn *connection) {
	root.InitDefaultCompletionCmd()
	for _, cmd := range root.Commands() {
		if cmd.Name() != "completion" {
			continue
		}
		cmd.Short = "Print a script that completes command lines in a shell"
		cmd.Long = paragraphs(`
			Print a script that completes the command lines of kubectl-watchhistory in a shell.

			kubectl completes its plugins itself, if its own completion is set up: for kubectl watchhistory,
			it runs the program ` + completerName + ` in the PATH. That is this program by another
			name. So this command is needed only to complete kubectl-watchhistory, without kubectl.`)
		cmd.PersistentPreRunE = func(*cobra.Command, []string) error { return conn.validateNoFile("completion") }
		cmd.Example = examples(conn.env, `
			# Complete kubectl watchhistory: types, names (of deleted objects too), revisions and flags
			source <(kubectl completion bash)
			ln -s "$(which kubectl-watchhistory)" ~/bin/`+completerName+`

			# Complete kubectl-watchhistory
			source <(kubectl-watchhistory completion bash)`)
	}
}

// completeTimes completes the flags of times of all commands. A version like
// deploy/web#11 is completed as the argument of history is.
func (c *connection) completeTimes(root *cobra.Command) {
	complete := func(cmd *cobra.Command, _ []string, toComplete string) ([]string, cobra.ShellCompDirective) {
		if !strings.Contains(toComplete, "/") {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return c.completeOne(cmd, nil, toComplete)
	}
	for _, cmd := range append(root.Commands(), root) {
		for _, flag := range []string{"since", "until", "from", "to", "at"} {
			if cmd.Flags().Lookup(flag) != nil {
				_ = cmd.RegisterFlagCompletionFunc(flag, complete)
			}
		}
	}
}

// completeFlags completes the flags that all commands share. Namespaces are the
// recorded ones, including deleted ones. Contexts, clusters and users are those
// of the kubeconfig, so they need no connection.
func (c *connection) completeFlags(root *cobra.Command) {
	completeNamespace := func(cmd *cobra.Command, _ []string, toComplete string) ([]string, cobra.ShellCompDirective) {
		return c.suggest(cmd, toComplete, func(ctx context.Context, s *session) []string {
			return s.suggestNames(ctx, "namespaces", "")
		})
	}
	fromKubeconfig := func(names func(*api.Config) []string) cobra.CompletionFunc {
		return func(_ *cobra.Command, _ []string, toComplete string) ([]string, cobra.ShellCompDirective) {
			config, err := c.config.ToRawKubeConfigLoader().RawConfig()
			if err != nil {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return typable(names(&config), toComplete), cobra.ShellCompDirectiveNoFileComp
		}
	}
	for flag, complete := range map[string]cobra.CompletionFunc{
		"namespace": completeNamespace,
		"context":   fromKubeconfig(func(c *api.Config) []string { return slices.Sorted(maps.Keys(c.Contexts)) }),
		"cluster":   fromKubeconfig(func(c *api.Config) []string { return slices.Sorted(maps.Keys(c.Clusters)) }),
		"user":      fromKubeconfig(func(c *api.Config) []string { return slices.Sorted(maps.Keys(c.AuthInfos)) }),
	} {
		_ = root.RegisterFlagCompletionFunc(flag, complete)
	}
}
