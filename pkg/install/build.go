package install

import (
	"cmp"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"

	"github.com/watchhistory/watchhistory/deploy"
	"github.com/watchhistory/watchhistory/pkg/history"
)

// Names in the manifests.
const (
	// Name is the name of most objects, such as the StatefulSet.
	Name = "watchhistory-recorder"
	// DefaultNamespace is the namespace without [Options.Namespace].
	DefaultNamespace = "watchhistory"
	// Image is the recorder's image, without a tag.
	Image = "ghcr.io/watchhistory/watchhistory-recorder"

	readersName = "watchhistory-client" // of the Role of [Options.Readers]
)

// Overlay is a directory of deploy/overlays.
type Overlay string

// The overlays.
const (
	// OpenShift leaves out the IDs of users and groups, which OpenShift
	// assigns.
	OpenShift Overlay = "openshift"
	// MCP adds a port without TLS and without access control.
	MCP Overlay = "mcp"
)

// Options are the differences to the manifests of deploy/. The zero Options
// have none.
type Options struct {
	Namespace string // of the recorder; empty: [DefaultNamespace]
	// Image is NAME, NAME:TAG or NAME@DIGEST. Empty means [Image].
	Image string
	// Tag is the tag of an Image that has neither tag nor digest. Empty means
	// that of deploy/.
	Tag string

	RetentionDays int                // 0: as in deploy/
	Storage       *resource.Quantity // size of the volume; nil: as in deploy/
	StorageClass  string             // of the volume; empty: the cluster's default
	// Config replaces resources.yaml. It excludes RetentionDays. The limit of
	// the database in it is not adapted to Storage.
	Config []byte

	Overlays []Overlay
	// Readers are groups whose members may reach the recorder. They read what
	// they may read in the cluster.
	Readers []string
}

// Manifests are the objects of a recorder, in the order in which they are
// applied.
type Manifests struct {
	Objects []*unstructured.Unstructured
	YAML    []byte // the same, as one document per object
}

// Directories in the file system in which the manifests are built.
const (
	sourceDir = "/deploy"
	buildDir  = "/build"
)

// kustomizationFile is the name of a kustomization in its directory.
const kustomizationFile = "kustomization.yaml"

// Build returns the manifests with the options.
func Build(o Options) (*Manifests, error) {
	if problems := validation.IsDNS1123Label(cmp.Or(o.Namespace, DefaultNamespace)); len(problems) > 0 {
		return nil, history.Errorf(history.Invalid, "namespace %q: %s", o.Namespace, problems[0])
	}
	files := filesys.MakeFsInMemory()
	if err := o.copySource(files); err != nil {
		return nil, err
	}
	if err := o.writeTop(files); err != nil {
		return nil, err
	}
	options := krusty.MakeDefaultOptions()
	options.Reorder = krusty.ReorderOptionLegacy // as kubectl apply -k
	built, err := krusty.MakeKustomizer(options).Run(files, buildDir)
	if err != nil {
		return nil, fmt.Errorf("build manifests: %w", err)
	}
	m := &Manifests{}
	if m.YAML, err = built.AsYaml(); err != nil {
		return nil, fmt.Errorf("build manifests: %w", err)
	}
	for _, r := range built.Resources() {
		body, err := r.MarshalJSON()
		if err != nil {
			return nil, fmt.Errorf("build manifests: %w", err)
		}
		object := &unstructured.Unstructured{}
		if err := object.UnmarshalJSON(body); err != nil {
			return nil, fmt.Errorf("build manifests: %w", err)
		}
		m.Objects = append(m.Objects, object)
	}
	return m, nil
}

// copySource writes deploy/ to the file system, with the configuration of the
// options.
func (o *Options) copySource(files filesys.FileSystem) error {
	return fs.WalkDir(deploy.Files, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := deploy.Files.ReadFile(name)
		if err != nil {
			return err
		}
		if name == "base/resources.yaml" {
			if content, err = o.configuration(content); err != nil {
				return err
			}
		}
		return files.WriteFile(path.Join(sourceDir, name), content)
	})
}

// configuration returns the recorder's configuration, from that of deploy/.
func (o *Options) configuration(source []byte) ([]byte, error) {
	if o.Config != nil {
		return o.Config, checkConfiguration(o.Config)
	}
	changes := map[string]string{}
	if o.RetentionDays != 0 {
		changes["retentionDays"] = strconv.Itoa(o.RetentionDays)
	}
	if o.Storage != nil {
		changes["maxStorage"] = limitOf(*o.Storage).String()
	}
	for field, value := range changes {
		line := regexp.MustCompile(`(?m)^` + field + `: .*$`)
		if !line.Match(source) {
			return nil, fmt.Errorf("build manifests: resources.yaml has no field %s", field)
		}
		source = line.ReplaceAll(source, []byte(field+": "+value))
	}
	return source, nil
}

// limitOf returns the limit of the database on a volume of a size: four fifths,
// in whole Mi.
func limitOf(size resource.Quantity) *resource.Quantity {
	const mi = 1 << 20
	return resource.NewQuantity(size.Value()/5*4/mi*mi, resource.BinarySI)
}

// checkConfiguration returns an error if the recorder's pod would not work with
// a configuration: the manifests contain its volume, its port and its address.
func checkConfiguration(config []byte) error {
	var found struct {
		StoragePath string `json:"storagePath"`
		SecurePort  int    `json:"securePort"`
		BindAddress string `json:"bindAddress"`
		// SecureBindAddress is the address of securePort. Empty means
		// BindAddress.
		SecureBindAddress string `json:"secureBindAddress"`
	}
	if err := yaml.Unmarshal(config, &found); err != nil {
		return history.Errorf(history.Invalid, "configuration: %w", err)
	}
	wrong := func(field, got, want string) error {
		return history.Errorf(history.Invalid, "configuration: %s is %q: want %s", field, got, want)
	}
	address := cmp.Or(found.SecureBindAddress, found.BindAddress)
	switch {
	case found.SecurePort != 8443:
		return wrong("securePort", strconv.Itoa(found.SecurePort), "8443, the port of the Service and of the probes")
	case address != "0.0.0.0" && address != "::":
		return wrong("bindAddress", address, "0.0.0.0, which the Service can reach")
	case found.StoragePath != "" && !strings.HasPrefix(found.StoragePath, "/data/"):
		return wrong("storagePath", found.StoragePath, "a directory in /data, where the volume is")
	default:
		return nil
	}
}

// operation is a JSON patch.
type operation struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value"`
}

// writeTop writes the kustomization of the options, on top of deploy/ or of its
// overlays.
func (o *Options) writeTop(files filesys.FileSystem) error {
	top, err := o.stackOverlays(files)
	if err != nil {
		return err
	}
	resources := []string{".." + top}
	var patches []any
	patch := func(kind, name string, operations ...operation) error {
		text, err := yaml.Marshal(operations)
		patches = append(patches, map[string]any{
			"target": map[string]string{"kind": kind, "name": name}, "patch": string(text),
		})
		return err
	}
	if operations := o.claim(); len(operations) > 0 {
		if err := patch("StatefulSet", Name, operations...); err != nil {
			return err
		}
	}
	if len(o.Readers) > 0 {
		resources = append(resources, ".."+sourceDir+"/client")
		subjects := []map[string]string{}
		for _, group := range o.Readers {
			subjects = append(subjects,
				map[string]string{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": group})
		}
		if err := patch("RoleBinding", readersName, operation{"replace", "/subjects", subjects}); err != nil {
			return err
		}
	}
	kustomization := map[string]any{
		"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization", "resources": resources,
		"patches": patches,
	}
	if image := o.image(); len(image) > 1 {
		kustomization["images"] = []any{image}
	}
	if o.Namespace != "" && o.Namespace != DefaultNamespace {
		kustomization["transformers"] = []string{namespaceTransformer(o.Namespace)}
	}
	text, err := yaml.Marshal(kustomization)
	if err != nil {
		return err
	}
	return files.WriteFile(path.Join(buildDir, kustomizationFile), text)
}

// stackOverlays puts each overlay on the one before, and returns the directory
// of the last one. In deploy/, each of them is on the base.
func (o *Options) stackOverlays(files filesys.FileSystem) (top string, err error) {
	const base = "\n  - ../../base\n"
	top = sourceDir
	for i, overlay := range o.Overlays {
		dir := path.Join(sourceDir, "overlays", string(overlay))
		file := path.Join(dir, kustomizationFile)
		text, err := files.ReadFile(file)
		if err != nil {
			return "", history.Errorf(history.Invalid, "unknown overlay %q", overlay)
		}
		if i > 0 {
			below := strings.Replace(string(text), base, "\n  - ../"+path.Base(top)+"\n", 1)
			if err := files.WriteFile(file, []byte(below)); err != nil {
				return "", err
			}
		}
		top = dir
	}
	return top, nil
}

// claim returns the patches of the claim for the volume.
func (o *Options) claim() (all []operation) {
	const spec = "/spec/volumeClaimTemplates/0/spec"
	if o.Storage != nil {
		all = append(all, operation{"replace", spec + "/resources/requests/storage", o.Storage.String()})
	}
	if o.StorageClass != "" {
		all = append(all, operation{"add", spec + "/storageClassName", o.StorageClass})
	}
	return all
}

// image returns the image as kustomize replaces it. It has only a name if it is
// that of deploy/.
func (o *Options) image() map[string]string {
	image := map[string]string{"name": Image}
	name, digest, hasDigest := strings.Cut(o.Image, "@")
	tag := ""
	if colon := strings.LastIndex(name, ":"); colon > strings.LastIndex(name, "/") {
		name, tag = name[:colon], name[colon+1:]
	}
	if name != "" && name != Image {
		image["newName"] = name
	}
	if hasDigest {
		image["digest"] = digest
	} else if tag = cmp.Or(tag, o.Tag); tag != "" {
		image["newTag"] = tag
	}
	return image
}

// namespaceTransformer moves all objects to a namespace, and the service
// accounts of bindings with them.
func namespaceTransformer(namespace string) string {
	return `apiVersion: builtin
kind: NamespaceTransformer
metadata:
  name: namespace
  namespace: ` + namespace + `
setRoleBindingSubjects: allServiceAccounts
fieldSpecs:
- path: metadata/namespace
  create: true
- path: metadata/name
  kind: Namespace
  create: true
`
}
