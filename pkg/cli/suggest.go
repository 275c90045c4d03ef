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
	"github.com/watchhistory/watchhistory/pkg/render"
)

// The bounds of a shell completion: nobody waits longer for one, nor reads more.
const (
	suggestionPatience = 3 * time.Second
	suggestionRecords  = 1000
)

// suggestions are the values for what is being typed, each perhaps with a tab
// and a description after it.
type suggestions func(context.Context, *session) []string

// completeMany completes what get takes: types, and names after a type.
func (c *connection) completeMany(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
	if kind, _, slash := strings.Cut(toComplete, "/"); slash {
		return c.suggest(cmd, toComplete, func(ctx context.Context, s *session) []string { return s.names(ctx, kind, kind+"/") })
	}
	if len(args) > 0 && !strings.Contains(args[0], "/") {
		return c.suggest(cmd, toComplete, func(ctx context.Context, s *session) []string {
			return slices.DeleteFunc(s.names(ctx, args[0], ""), func(name string) bool { return slices.Contains(args[1:], name) })
		})
	}
	before := toComplete[:strings.LastIndex(toComplete, ",")+1]
	return c.suggest(cmd, toComplete, func(ctx context.Context, s *session) []string { return s.kinds(ctx, before) })
}

// completeOne completes TYPE NAME and TYPE/NAME.
func (c *connection) completeOne(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 1 || len(args) == 1 && strings.Contains(args[0], "/") {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return c.completeMany(cmd, args, toComplete)
}

// suggest asks the recorder. A completion that fails suggests nothing, and
// writes nothing: the cursor is in the middle of a line. No credential plugin
// may ask a person for anything.
func (c *connection) suggest(cmd *cobra.Command, toComplete string, ask suggestions) ([]string, cobra.ShellCompDirective) {
	ctx, cancel := context.WithTimeout(cmd.Context(), suggestionPatience)
	defer cancel()
	c.env.ErrOut = io.Discard
	c.unattended = true
	s, err := c.open(ctx)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	defer s.Close()
	if everywhere, _ := cmd.Flags().GetBool("all-namespaces"); everywhere {
		s.namespace = history.AllNamespaces
	}
	return typable(ask(ctx, s), toComplete), cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
}

// typable returns the suggestions that begin with what is typed, each once, in
// their order. One with white space, or with characters that a terminal could
// obey or hide, can't be typed.
func typable(all []string, toComplete string) []string {
	var kept []string
	for _, suggestion := range all {
		value, description, described := strings.Cut(suggestion, "\t")
		if !strings.HasPrefix(value, toComplete) || render.Escape(value) != value || len(strings.Fields(value)) != 1 {
			continue
		}
		if described {
			value += "\t" + strings.Join(strings.Fields(render.Escape(description)), " ")
		}
		if !slices.Contains(kept, value) {
			kept = append(kept, value)
		}
	}
	return kept
}

// kinds returns the recorded types, after what is typed before them.
func (s *session) kinds(ctx context.Context, before string) []string {
	list, err := s.Resources(ctx)
	if err != nil {
		return nil
	}
	var names []string
	for _, r := range resources(list) {
		names = append(names, before+r.GroupResource().String())
	}
	return names
}

// names returns those of recorded objects of types with commas between them,
// deleted ones too, the last changed first.
func (s *session) names(ctx context.Context, types, prefix string) []string {
	var names []string
	for kind := range strings.SplitSeq(types, ",") {
		matches, err := s.types.matches(ctx, kind)
		if err != nil {
			return nil
		}
		for _, m := range matches {
			t := target{resourceType: resourceType{Group: m.Group, Plural: m.Plural, Namespaced: m.Namespaced}}
			for _, e := range s.newestOf(ctx, t, "") {
				if !strings.Contains(e.ResourceName, "\t") { // what follows it would be its description
					names = append(names, prefix+e.ResourceName)
				}
			}
		}
	}
	return names
}

// newestOf returns the newest records of a type, or of one object, without
// their bodies.
func (s *session) newestOf(ctx context.Context, t target, uid string) []v1.Event {
	found, err := s.newestVersions(ctx, t, uid, suggestionRecords)
	if err != nil {
		return nil
	}
	return found
}

// completeRevisions completes --revision of the object that is named before it.
func (o *historyOptions) completeRevisions(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
	return o.completeVersions(cmd, args, toComplete, o.uid, func(e *v1.Event) string { return fmt.Sprint(e.Revision) })
}

// completeUIDs completes --uid of the object that is named before it.
func (o *question) completeUIDs(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
	return o.completeVersions(cmd, args, toComplete, "", func(e *v1.Event) string { return e.UID })
}

// completeVersions suggests what tells versions of an object from each other,
// with a description of the newest one that it fits.
func (o *question) completeVersions(cmd *cobra.Command, args []string, toComplete, uid string, value func(*v1.Event) string) ([]string, cobra.ShellCompDirective) {
	object, err := parseObject(args)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return o.suggest(cmd, toComplete, func(ctx context.Context, s *session) (all []string) {
		resolved, err := s.types.remember(ctx, object.kind)
		if err != nil {
			return nil
		}
		seen := map[string]bool{}
		for _, e := range s.newestOf(ctx, target{resolved, object.name}, uid) {
			if v := value(&e); !seen[v] { // the newest incarnation comes first
				seen[v] = true
				age := duration.HumanDuration(max(o.env.recorderNow().Sub(e.Timestamp), 0))
				all = append(all, fmt.Sprintf("%s\t%s ago: %s %s", v, age, e.Verb, e.Summary))
			}
		}
		return all
	})
}

// completeFlags completes the flags that all commands share.
func (c *connection) completeFlags(root *cobra.Command) {
	_ = root.RegisterFlagCompletionFunc("namespace", func(cmd *cobra.Command, _ []string, toComplete string) ([]string, cobra.ShellCompDirective) {
		return c.suggest(cmd, toComplete, func(ctx context.Context, s *session) []string { return s.names(ctx, "namespaces", "") })
	})
	ofKubeconfig := func(flag string, names func(*api.Config) []string) {
		_ = root.RegisterFlagCompletionFunc(flag, func(_ *cobra.Command, _ []string, toComplete string) ([]string, cobra.ShellCompDirective) {
			config, err := c.config.ToRawKubeConfigLoader().RawConfig()
			if err != nil {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return typable(names(&config), toComplete), cobra.ShellCompDirectiveNoFileComp
		})
	}
	ofKubeconfig("context", func(config *api.Config) []string { return slices.Sorted(maps.Keys(config.Contexts)) })
	ofKubeconfig("cluster", func(config *api.Config) []string { return slices.Sorted(maps.Keys(config.Clusters)) })
	ofKubeconfig("user", func(config *api.Config) []string { return slices.Sorted(maps.Keys(config.AuthInfos)) })
}
