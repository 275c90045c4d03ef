package daemon

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// configFile is the YAML form of a [Config]. The types of the fields check
// single values; the methods check the values against each other.
//
// The fields that are not pointers or lists hold the defaults before the file
// is decoded. A pointer or list that is nil was not given.
type configFile struct {
	Discover             *discoverMode   `yaml:"discover"`
	DiscoverCRDs         *boolean        `yaml:"discoverCRDs"`
	RecordCatalogue      boolean         `yaml:"recordCatalogue"`
	StoragePath          text            `yaml:"storagePath"`
	RetentionDays        retentionDays   `yaml:"retentionDays"`
	SyncWrites           boolean         `yaml:"syncWrites"`
	MaxStorage           storageLimit    `yaml:"maxStorage"`
	BindAddress          ipAddress       `yaml:"bindAddress"`
	ServerPort           port            `yaml:"serverPort"`
	SecureBindAddress    ipAddress       `yaml:"secureBindAddress"`
	SecurePort           port            `yaml:"securePort"`
	DebugPort            port            `yaml:"debugPort"`
	TLSCertFile          text            `yaml:"tlsCertFile"`
	TLSKeyFile           text            `yaml:"tlsKeyFile"`
	TLSCAFile            text            `yaml:"tlsCAFile"`
	MaxQueryLimit        queryLimit      `yaml:"maxQueryLimit"`
	EarlierNamespaces    boolean         `yaml:"earlierNamespaces"`
	Anonymous            *anonymousEntry `yaml:"anonymous"`
	AllowedHosts         []hostName      `yaml:"allowedHosts"`
	MaxConcurrentQueries concurrency     `yaml:"maxConcurrentQueries"`
	QueryTimeoutSeconds  timeoutSeconds  `yaml:"queryTimeoutSeconds"`
	MaxQueryRate         queryRate       `yaml:"maxQueryRate"`
	MaxConnections       connectionLimit `yaml:"maxConnections"`
	MaxStreams           streamLimit     `yaml:"maxStreams"`
	Resources            []resourceEntry `yaml:"resources"`
	Include              []groupResource `yaml:"include"`
	SecretAnnotations    []annotationKey `yaml:"secretAnnotations"`
	Redact               []redactEntry   `yaml:"redact"`
	Ignore               []ignoreEntry   `yaml:"ignore"`
	Symptoms             []symptomEntry  `yaml:"symptoms"`
}

// resourceEntry is one entry of the field resources.
type resourceEntry struct {
	Group      apiGroup `yaml:"group"`
	Version    dnsLabel `yaml:"version"`
	Kind       text     `yaml:"kind"`
	Plural     dnsLabel `yaml:"plural"`
	Namespaced boolean  `yaml:"namespaced"`
}

// redactEntry is one entry of the field redact.
type redactEntry struct {
	Resource *groupResource      `yaml:"resource"`
	Paths    []text              `yaml:"paths"`
	Names    []regularExpression `yaml:"names"`
}

// ignoreEntry is one entry of the field ignore.
type ignoreEntry struct {
	Resource   *groupResource  `yaml:"resource"`
	Namespaces []namespaceName `yaml:"namespaces"`
	Changes    []ignoredPath   `yaml:"changes"`
}

// symptomEntry is one entry of the field symptoms.
type symptomEntry struct {
	Code       symptomCode    `yaml:"code"`
	Resource   *groupResource `yaml:"resource"`
	Expression celExpression  `yaml:"expression"`
	Text       symptomText    `yaml:"text"`
}

// anonymousEntry is the value of the field anonymous.
type anonymousEntry struct {
	Namespaces []namespaceScope `yaml:"namespaces"`
	Resources  []groupResource  `yaml:"resources"`
}

// ParseConfig returns the defaults overridden by a YAML document.
//
// It is strict. Unknown, repeated and empty fields, values out of range,
// resources that are listed twice and rules that can never apply are errors.
// Each of them has the code [history.Invalid], is one line long and contains
// the line and the path of the field.
func ParseConfig(data []byte) (Config, error) {
	c := DefaultConfig()
	root, err := parseDocument(data)
	if err != nil || root == nil {
		return c, err
	}
	at := newLayout(root)
	f := configFile{
		StoragePath:   text(c.StoragePath),
		RetentionDays: retentionDays(c.RetentionDays),
		SyncWrites:    boolean(c.SyncWrites),
		MaxStorage:    storageLimit(c.MaxStorage),
		BindAddress:   ipAddress(c.BindAddress),
		ServerPort:    port(c.ServerPort),
		SecurePort:    port(c.SecurePort),
		DebugPort:     port(c.DebugPort),
		MaxQueryLimit: queryLimit(c.MaxQueryLimit),

		RecordCatalogue:      boolean(c.RecordCatalogue),
		MaxConcurrentQueries: concurrency(c.MaxConcurrentQueries),
		QueryTimeoutSeconds:  timeoutSeconds(c.QueryTimeoutSeconds),
		MaxQueryRate:         queryRate(c.MaxQueryRate),
		MaxConnections:       connectionLimit(c.MaxConnections),
		MaxStreams:           streamLimit(c.MaxStreams),
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	dec.KnownFields(true)
	if err := dec.Decode(&f); err != nil {
		return Config{}, at.decodeError(err)
	}
	if err := at.checkValues(); err != nil {
		return Config{}, err
	}
	if err := f.apply(&c, at); err != nil {
		return Config{}, err
	}
	return c, nil
}

// parseDocument returns the root node of the only document, or nil if the
// document is empty.
func parseDocument(data []byte) (*yaml.Node, error) {
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc, second yaml.Node
	if err := dec.Decode(&doc); errors.Is(err, io.EOF) {
		return nil, nil
	} else if err != nil {
		return nil, history.Errorf(history.Invalid, "%s", strings.TrimPrefix(err.Error(), "yaml: "))
	}
	if err := dec.Decode(&second); !errors.Is(err, io.EOF) {
		return nil, history.Errorf(history.Invalid, "line %d: a second document: want only one", second.Line)
	}
	root := doc.Content[0]
	if root.Tag == nullTag {
		return nil, nil
	}
	return root, nil
}

// apply sets the values of the file in c, which holds the defaults.
func (f *configFile) apply(c *Config, at *layout) error {
	c.RecordCatalogue = bool(f.RecordCatalogue)
	c.StoragePath = string(f.StoragePath)
	c.RetentionDays = int(f.RetentionDays)
	c.SyncWrites = bool(f.SyncWrites)
	c.MaxStorage = int64(f.MaxStorage)
	c.BindAddress = string(f.BindAddress)
	c.ServerPort = int(f.ServerPort)
	c.SecureBindAddress = string(f.SecureBindAddress)
	c.SecurePort = int(f.SecurePort)
	c.DebugPort = int(f.DebugPort)
	c.TLSCertFile, c.TLSKeyFile, c.TLSCAFile = string(f.TLSCertFile), string(f.TLSKeyFile), string(f.TLSCAFile)
	c.MaxQueryLimit = int(f.MaxQueryLimit)
	c.EarlierNamespaces = bool(f.EarlierNamespaces)
	for _, name := range f.AllowedHosts {
		c.AllowedHosts = append(c.AllowedHosts, string(name))
	}
	c.MaxConcurrentQueries = int(f.MaxConcurrentQueries)
	c.QueryTimeoutSeconds = int(f.QueryTimeoutSeconds)
	c.MaxQueryRate = int(f.MaxQueryRate)
	c.MaxConnections = int(f.MaxConnections)
	c.MaxStreams = int(f.MaxStreams)
	listed, err := f.resources(at)
	if err != nil {
		return err
	}
	if listed != nil {
		c.Resources = listed
	}
	if err := f.setDiscovery(c, at); err != nil {
		return err
	}
	included, err := f.included(at)
	if err != nil {
		return err
	}
	for _, r := range included {
		if !c.lists(r.GroupResource()) {
			c.Resources = append(c.Resources, r)
		}
	}
	if err := f.setRules(c, listed, included, at); err != nil {
		return err
	}
	return f.setAnonymous(c, at)
}

// setAnonymous sets what callers without an identity may read. c has the
// resources and the rules already: a resource that is not recorded is a typing
// error.
func (f *configFile) setAnonymous(c *Config, at *layout) error {
	e := f.Anonymous
	switch {
	case e == nil:
		return nil
	case e.Namespaces == nil && e.Resources == nil:
		return at.errorf("anonymous", "is empty: want namespaces, resources or both")
	case e.Namespaces != nil && len(e.Namespaces) == 0:
		return at.errorf("anonymous.namespaces", "is empty")
	case e.Resources != nil && len(e.Resources) == 0:
		return at.errorf("anonymous.resources", "is empty")
	}
	if err := unique("anonymous.namespaces", e.Namespaces, at); err != nil {
		return err
	}
	if err := unique("anonymous.resources", e.Resources, at); err != nil {
		return err
	}
	for _, n := range e.Namespaces {
		c.Anonymous.Scopes = append(c.Anonymous.Scopes, history.ParseNamespaceScope(string(n)))
	}
	for i, entry := range e.Resources {
		r, path := schema.GroupResource(entry), item("anonymous.resources", i)
		switch {
		case c.recordedAs(r) != r:
			return at.errorf(path, "%s are recorded as %s: name that", r, c.recordedAs(r))
		case !c.records(r) && !c.discoversCRD(r):
			return at.errorf(path, "%s is not recorded", r)
		}
		c.Anonymous.Resources = append(c.Anonymous.Resources, r)
	}
	return nil
}

// resources returns the entries of the field resources, or nil if it was not
// given. A resource can be recorded in one version only.
func (f *configFile) resources(at *layout) (all []history.Resource, err error) {
	if f.Resources == nil {
		return nil, nil
	}
	all = []history.Resource{}
	seen := map[schema.GroupResource]string{}
	for i, e := range f.Resources {
		path := item("resources", i)
		switch {
		case e.Version == "":
			return nil, at.errorf(path+".version", "missing")
		case e.Kind == "":
			return nil, at.errorf(path+".kind", "missing")
		case e.Plural == "":
			return nil, at.errorf(path+".plural", "missing")
		}
		r := history.Resource{
			Group: string(e.Group), Version: string(e.Version), Kind: string(e.Kind),
			Plural: string(e.Plural), Namespaced: bool(e.Namespaced),
		}
		id := r.GroupResource()
		if first, ok := seen[id]; ok {
			return nil, at.errorf(path, "%s is already listed on line %d: want one version of a resource",
				id, at.line(first))
		}
		seen[id] = path
		all = append(all, r)
	}
	return all, nil
}

// included returns the entries of the field include. Their versions and kinds
// are those that the API server reports.
func (f *configFile) included(at *layout) (all []history.Resource, err error) {
	if err := unique("include", f.Include, at); err != nil {
		return nil, err
	}
	for _, r := range f.Include {
		all = append(all, history.Resource{Group: r.Group, Plural: r.Resource})
	}
	return all, nil
}

// unique returns an error if a list contains a value twice.
func unique[T comparable](path string, values []T, at *layout) error {
	for i, v := range values {
		if first := slices.Index(values, v); first < i {
			return at.errorf(item(path, i), "%q is already listed on line %d",
				fmt.Sprint(v), at.line(item(path, first)))
		}
	}
	return nil
}
