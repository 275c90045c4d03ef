package scenario

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"github.com/watchhistory/watchhistory/cmd/devcluster/internal/kube"
)

// byOperator is the field manager of statuses of backups, which a controller
// would write.
const byOperator = "backup-operator"

func backup() kube.Resource {
	return kube.Resource{
		Group: "shop.devcluster.dev", Version: "v1", Plural: "backups", Singular: "backup", Kind: "Backup",
	}
}

// customResource plays a CRD and its objects. The definition and one object
// remain.
func customResource(ctx context.Context, s *stage) error {
	backups := s.dynamic.Resource(backup().GVR()).Namespace(s.Namespace)
	if err := s.step(ctx, "define the custom resource %s.%s", backup().Plural, backup().Group); err != nil {
		return err
	}
	if err := kube.Define(ctx, s.dynamic, backup(), byCreate); err != nil {
		return err
	}
	for _, name := range []string{"nightly", "weekly"} {
		if err := runBackup(ctx, s, backups, name); err != nil {
			return err
		}
	}
	if err := s.step(ctx, "edit backup/nightly: it moves to another bucket"); err != nil {
		return err
	}
	if err := patch(ctx, backups, "nightly", byEdit, `{"spec":{"bucket":"eu-2"}}`); err != nil {
		return err
	}
	if err := s.step(ctx, "delete backup/weekly"); err != nil {
		return err
	}
	return backups.Delete(ctx, "weekly", metav1.DeleteOptions{})
}

// runBackup replaces an object of an earlier play by a new one, and writes the
// phases of its status.
func runBackup(ctx context.Context, s *stage, backups dynamic.ResourceInterface, name string) error {
	if err := backups.Delete(ctx, name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("delete backup %s: %w", name, err)
	}
	if err := s.step(ctx, "create backup/%s", name); err != nil {
		return err
	}
	r := backup()
	_, err := backups.Create(ctx, &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": r.Group + "/" + r.Version, "kind": r.Kind,
		"metadata": map[string]any{"name": name},
		"spec":     map[string]any{"bucket": "eu-1", "keep": int64(7)},
	}}, metav1.CreateOptions{FieldManager: byCreate})
	if err != nil {
		return fmt.Errorf("create backup %s: %w", name, err)
	}
	for _, phase := range []string{"Pending", "Running", "Completed"} {
		if err := s.step(ctx, "backup/%s is %s", name, phase); err != nil {
			return err
		}
		if err := patch(ctx, backups, name, byOperator, `{"status":{"phase":"`+phase+`"}}`, "status"); err != nil {
			return err
		}
	}
	return nil
}

func patch(
	ctx context.Context, client dynamic.ResourceInterface, name, manager, body string, subresource ...string,
) error {
	_, err := client.Patch(ctx, name, types.MergePatchType, []byte(body),
		metav1.PatchOptions{FieldManager: manager}, subresource...)
	if err != nil {
		return fmt.Errorf("patch %s: %w", name, err)
	}
	return nil
}
