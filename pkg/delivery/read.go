package delivery

import (
	"strings"

	"github.com/watchhistory/watchhistory/pkg/internal/rawjson"
)

// object contains the fields that the rules read.
type object struct {
	apiVersion, kind    string
	typ                 string // of a Secret
	name, namespace     string
	labels, annotations map[string]string // only marks
	status              status
}

// status contains the fields of the tools' own objects.
type status struct {
	lastApplied              string // lastAppliedRevision, of Flux
	syncStatus, syncRevision string // of Argo CD
	operation                operation
	newest                   release
}

// operation is the last operation of an Application.
type operation struct {
	revision  string // that was synchronized
	username  string // of who began it
	automated bool
}

// release is the newest entry of a HelmRelease's history.
type release struct{ chart, version, number string }

// group returns the group of the object's API version.
func (o *object) group() string {
	group, _, ok := strings.Cut(o.apiVersion, "/")
	if !ok {
		return "" // of the core
	}
	return group
}

// read reads the fields that the rules need. ok is false if a value has an
// unexpected kind.
func read(json []byte) (o object, ok bool) {
	scan := rawjson.ScanValid(json)
	if scan.Kind() != rawjson.Object {
		return object{}, false
	}
	for _, key := range scan.Members() {
		switch string(key) {
		case "apiVersion":
			o.apiVersion = scan.Text()
		case "kind":
			o.kind = scan.Text()
		case "type":
			o.typ = text(&scan)
		case "metadata":
			o.readMetadata(&scan)
		case "status":
			// Other objects may have statuses of any form.
			if status := scan.Skip(); o.isTool() {
				o.status = readStatus(status)
			}
		}
	}
	return o, scan.End() == nil
}

// isTool reports whether the object can be one of the tools' own. The kind
// precedes the status in the JSON of API servers.
func (o *object) isTool() bool {
	return o.kind == "Application" || o.kind == "Kustomization" || o.kind == "HelmRelease"
}

// readMetadata reads the metadata, which comes next.
func (o *object) readMetadata(scan *rawjson.Scanner) {
	for _, key := range scan.Members() {
		switch string(key) {
		case "name":
			o.name = scan.Text()
		case "namespace":
			o.namespace = scan.Text()
		case "labels":
			o.labels = readMarks(scan)
		case "annotations":
			o.annotations = readMarks(scan)
		}
	}
}

// hashPrefix begins the hash that replaces a redacted value.
const hashPrefix = "hmac-sha256:"

// readMarks reads the labels or annotations that rules read.
func readMarks(scan *rawjson.Scanner) (marks map[string]string) {
	for _, key := range scan.Members() {
		switch string(key) {
		case changeCause, chartLabel, managedBy, releaseName, releaseNamespace, trackingID, argoInstance, instance,
			kustomizeToolkit + "name", kustomizeToolkit + "namespace", helmToolkit + "name", helmToolkit + "namespace",
			"name", "owner", "version", "status":
			if marks == nil {
				marks = map[string]string{}
			}
			// A redacted value names nothing.
			if value := text(scan); !strings.Contains(value, hashPrefix) {
				marks[string(key)] = value
			}
		}
	}
	return marks
}

// readStatus reads the status of one of the tools' own objects. It is empty if
// a value has an unexpected kind.
func readStatus(json []byte) (s status) {
	scan := rawjson.ScanValid(json)
	for _, key := range scan.Members() {
		switch string(key) {
		case "lastAppliedRevision":
			s.lastApplied = scan.Text()
		case "sync":
			for _, key := range scan.Members() {
				switch string(key) {
				case "status":
					s.syncStatus = scan.Text()
				case "revision":
					s.syncRevision = scan.Text()
				}
			}
		case "operationState":
			s.operation = readOperation(&scan)
		case "history":
			s.newest = readNewest(&scan)
		}
	}
	if scan.End() != nil {
		return status{}
	}
	return s
}

// readOperation reads the state of an operation, which comes next. It is empty
// unless the operation succeeded.
func readOperation(scan *rawjson.Scanner) (o operation) {
	phase := ""
	for _, key := range scan.Members() {
		switch string(key) {
		case "phase":
			phase = scan.Text()
		case "syncResult":
			for _, key := range scan.Members() {
				if string(key) == "revision" {
					o.revision = scan.Text()
				}
			}
		case "operation":
			for _, key := range scan.Members() {
				if string(key) != "initiatedBy" {
					continue
				}
				for _, key := range scan.Members() {
					switch string(key) {
					case "username":
						o.username = scan.Text()
					case "automated":
						o.automated = string(scan.Skip()) == "true"
					}
				}
			}
		}
	}
	if phase != "Succeeded" {
		return operation{}
	}
	return o
}

// readNewest reads the history of a HelmRelease, which comes next. It returns
// the newest release, if that is deployed.
func readNewest(scan *rawjson.Scanner) (newest release) {
	first := true
	for range scan.Elements() {
		if !first || scan.Kind() != rawjson.Object {
			continue
		}
		first = false
		status := ""
		for _, key := range scan.Members() {
			switch string(key) {
			case "chartName":
				newest.chart = text(scan)
			case "chartVersion":
				newest.version = text(scan)
			case "version":
				newest.number = string(scan.Skip())
			case "status":
				status = text(scan)
			}
		}
		if status != "deployed" {
			newest = release{}
		}
	}
	return newest
}

// text consumes the next value. It returns "" unless that is a string.
func text(scan *rawjson.Scanner) string {
	if scan.Kind() != rawjson.String {
		scan.Skip()
		return ""
	}
	return scan.Text()
}
