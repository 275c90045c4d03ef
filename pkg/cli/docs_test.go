package cli_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/watchhistory/watchhistory/pkg/cli"
)

// TestDocs compares docs/cli.md with the help of the commands.
func TestDocs(t *testing.T) {
	t.Setenv("KUBECACHEDIR", "~/.kube/cache")
	root := cli.New(cli.Environment{IOStreams: genericiooptions.NewTestIOStreamsDiscard(), Name: "kubectl watchhistory"})
	var b strings.Builder
	b.WriteString("# The kubectl plugin\n\nGenerated from the commands by `go test ./pkg/cli -run TestDocs -update`; do not edit.\n")
	document(&b, root)
	b.WriteString("\n## Flags of every command\n")
	flags(&b, root.PersistentFlags())
	path := filepath.Join("..", "..", "docs", "cli.md")
	if *update {
		if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != b.String() {
		t.Errorf("docs/cli.md differs from the help of the commands (error %v): go test ./pkg/cli -run TestDocs -update rewrites it", err)
	}
}

// document writes the section of a command, and those of its subcommands.
func document(b *strings.Builder, cmd *cobra.Command) {
	fmt.Fprintf(b, "\n## %s\n\n%s\n", cmd.CommandPath(), firstOf(cmd.Long, cmd.Short))
	if cmd.Runnable() && cmd.HasParent() {
		fmt.Fprintf(b, "\n    %s\n", strings.TrimSuffix(cmd.UseLine(), " [flags]"))
	}
	if cmd.HasExample() {
		fmt.Fprintf(b, "\n```\n%s\n```\n", strings.ReplaceAll(strings.TrimPrefix(cmd.Example, "  "), "\n  ", "\n"))
	}
	flags(b, cmd.LocalNonPersistentFlags())
	for _, sub := range cmd.Commands() {
		document(b, sub)
	}
}

// flags writes a table of flags.
func flags(b *strings.Builder, fs *pflag.FlagSet) {
	if !fs.HasAvailableFlags() {
		return
	}
	b.WriteString("\n| flag | default | meaning |\n| --- | --- | --- |\n")
	fs.VisitAll(func(f *pflag.Flag) {
		name := "`--" + f.Name + "`"
		if f.Shorthand != "" {
			name = "`-" + f.Shorthand + "`, " + name
		}
		value := ""
		if f.DefValue != "" && f.DefValue != "[]" {
			value = "`" + f.DefValue + "`"
		}
		fmt.Fprintf(b, "| %s | %s | %s |\n", name, value, strings.ReplaceAll(f.Usage, "|", "\\|"))
	})
}

func firstOf(texts ...string) string {
	for _, text := range texts {
		if text != "" {
			return text
		}
	}
	return ""
}
