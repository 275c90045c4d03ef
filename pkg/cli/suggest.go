package cli

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/watchhistory/watchhistory/pkg/client"
	"github.com/watchhistory/watchhistory/pkg/history"
)

// The bounds of a shell completion: nobody waits longer for one, nor reads more.
const (
	suggestionPatience = 3 * time.Second
	suggestionRecords  = 1000
)

// completeMany completes types, and names behind a type and a slash.
func (c *connection) completeMany(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
	if kind, _, slash := strings.Cut(toComplete, "/"); slash {
		return c.suggest(cmd, func(ctx context.Context, s *session) []string { return s.names(ctx, kind, kind+"/") })
	}
	if len(args) == 1 && !strings.Contains(args[0], "/") && !strings.Contains(args[0], ",") {
		return c.suggest(cmd, func(ctx context.Context, s *session) []string { return s.names(ctx, args[0], "") })
	}
	return c.suggest(cmd, func(ctx context.Context, s *session) []string { return s.kinds(ctx) })
}

// completeOne completes TYPE NAME and TYPE/NAME.
func (c *connection) completeOne(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 1 || len(args) == 1 && strings.Contains(args[0], "/") {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return c.completeMany(cmd, args, toComplete)
}

// suggest asks the recorder. A completion that fails is none.
func (c *connection) suggest(cmd *cobra.Command, ask func(context.Context, *session) []string) ([]string, cobra.ShellCompDirective) {
	ctx, cancel := context.WithTimeout(cmd.Context(), suggestionPatience)
	defer cancel()
	s, err := c.open(ctx)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	defer s.Close()
	return ask(ctx, s), cobra.ShellCompDirectiveNoFileComp
}

// kinds returns the recorded types.
func (s *session) kinds(ctx context.Context) []string {
	list, err := s.Resources(ctx)
	if err != nil {
		return nil
	}
	var names []string
	for _, r := range resources(list) {
		names = append(names, r.GroupResource().String())
	}
	return names
}

// names returns those of recorded objects of a type, deleted ones too, the last changed first.
func (s *session) names(ctx context.Context, kind, prefix string) []string {
	q := client.EventsQuery{Resources: []string{kind}, Order: history.NewestFirst, Limit: suggestionRecords, Summary: true}
	if matches, err := s.types.matches(ctx, kind); err != nil || len(matches) == 0 {
		return nil
	} else if q.Namespace = s.namespace; !matches[0].Namespaced {
		q.Namespace = history.NoNamespace
	}
	page, err := s.Events(ctx, q)
	if err != nil {
		return nil
	}
	seen := map[string]bool{}
	var names []string
	for i := range page.Events {
		if name := prefix + page.Events[i].ResourceName; !seen[name] {
			seen[name] = true
			names = append(names, name)
		}
	}
	return names
}
