package history

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

// reservedGroup is the group of the resources that a log keeps for itself. No
// API server can serve it: the name of a group is a DNS subdomain, and has no
// underscore.
const reservedGroup = "_catalogue"

// Documents returns the reserved resource whose objects are documents. The name
// of a document is its path on the API server without the first slash, such as
// "openapi/v3/apis/apps/v1", and so is its UID: a document that is served again
// is the same object.
//
// The objects of reserved resources are recorded, kept and dropped like others,
// but a [Filter] selects them only if its Resources name them. The catalogue
// does not contain reserved resources.
func Documents() schema.GroupResource {
	return schema.GroupResource{Group: reservedGroup, Resource: "documents"}
}

// UnreadDocuments returns the reserved resource whose objects are the paths
// that can't be read. Each exists for as long as nothing is known about the
// document of its name and about those below it.
func UnreadDocuments() schema.GroupResource {
	return schema.GroupResource{Group: reservedGroup, Resource: "unread"}
}

// ReservedResources returns the resources that no API server serves.
func ReservedResources() []schema.GroupResource {
	return []schema.GroupResource{Documents(), UnreadDocuments()}
}

// IsReserved reports whether a resource is one of [ReservedResources].
func IsReserved(r schema.GroupResource) bool { return r.Group == reservedGroup }

// DocumentVersion identifies the content of a document. Its text is the
// resourceVersion of the document's record.
type DocumentVersion struct {
	Hash string // the SHA-256 of the content, in hexadecimal digits
	Size int    // of the content, in bytes
	// ServerHash is the API server's own hash of the content. It is empty if
	// the server has none, or if it is too long to be stored.
	ServerHash string
}

// maxServerHash bounds [DocumentVersion.ServerHash], in bytes. A SHA-512 has
// 128 digits.
const maxServerHash = 256

// VersionOfDocument returns the version of a content with the API server's
// hash, which may be empty.
func VersionOfDocument(content []byte, serverHash string) DocumentVersion {
	sum := sha256.Sum256(content)
	if len(serverHash) > maxServerHash {
		serverHash = ""
	}
	return DocumentVersion{Hash: hex.EncodeToString(sum[:]), Size: len(content), ServerHash: serverHash}
}

// String returns the version as a resourceVersion.
func (v DocumentVersion) String() string {
	return v.Hash + "." + strconv.Itoa(v.Size) + "." + v.ServerHash
}

// ParseDocumentVersion is the inverse of [DocumentVersion.String].
func ParseDocumentVersion(rv string) (DocumentVersion, error) {
	hash, rest, ok := strings.Cut(rv, ".")
	size, serverHash, more := strings.Cut(rest, ".")
	n, err := strconv.Atoi(size)
	if !ok || !more || err != nil {
		return DocumentVersion{}, fmt.Errorf("resourceVersion %q is not that of a document", rv)
	}
	return DocumentVersion{Hash: hash, Size: n, ServerHash: serverHash}, nil
}

// EncodeDocument returns the object of a document with a content, which is
// JSON. The object contains its identity, so that it can be restored if the
// log's index is damaged.
func EncodeDocument(name string, content []byte) []byte {
	return slices.Concat(documentPrefix(name), content, []byte("}"))
}

// DecodeDocument returns the content of a document's object. The result is a
// part of the object.
func DecodeDocument(name string, object []byte) ([]byte, error) {
	content, ok := bytes.CutPrefix(object, documentPrefix(name))
	if !ok || !bytes.HasSuffix(content, []byte("}")) {
		return nil, fmt.Errorf("object of document %s has no content", name)
	}
	return content[:len(content)-1], nil
}

// documentPrefix returns the beginning of a document's object.
func documentPrefix(name string) []byte {
	quoted, err := json.Marshal(name)
	if err != nil {
		panic(err) // not reached: every string can be encoded
	}
	return fmt.Appendf(nil, `{"metadata":{"name":%s,"uid":%s},"content":`, quoted, quoted)
}

// UnreadCause is the content of an object of [UnreadDocuments]: why the path
// could not be read when it began.
type UnreadCause struct {
	Reason GapReason `json:"reason"`
	Detail string    `json:"detail,omitempty"`
}
