package query

import (
	"context"
	"regexp"
	"slices"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// secretHash matches what replaces a value of a Secret, see docs/secrets.md.
var secretHash = regexp.MustCompile(`hmac-sha256:[0-9a-f]{32}`)

// hiddenHash replaces a hash that the caller may not see.
const hiddenHash = "hmac-sha256:hidden"

// hideHashes removes the hashes from versions of Secrets that the caller may
// list but not get. Lists of the cluster show values to such a caller, but the
// hashes would let him compare values over time.
func (s *Service) hideHashes(ctx context.Context, versions []Version) error {
	if s.caller == nil {
		return nil
	}
	var secrets []history.ObjectRef // without UIDs, each of them once
	of := map[history.ObjectRef]int{}
	for i := range versions {
		ref := versions[i].Ref
		ref.UID = ""
		if _, known := of[ref]; !known && isSecret(versions[i].Record) {
			of[ref] = len(secrets)
			secrets = append(secrets, ref)
		}
	}
	allowed := make([]bool, len(secrets))
	err := eachConcurrently(ctx, len(secrets), func(ctx context.Context, i int) (err error) {
		allowed[i], err = s.mayGet(ctx, &secrets[i])
		return err
	})
	if err != nil {
		return &RightsError{err}
	}
	for i := range versions {
		v := &versions[i]
		ref := v.Ref
		ref.UID = ""
		if secret, is := of[ref]; is && !allowed[secret] {
			v.Record = withoutHashes(v.Record)
			v.Summary, v.Problem = hide(v.Summary), hide(v.Problem)
		}
	}
	return nil
}

// isSecret reports whether a record is of a Secret.
func isSecret(r *history.Record) bool {
	return r.Ref.GroupResource() == (schema.GroupResource{Resource: "secrets"})
}

// mayGet reports whether the caller may get an object: all of its resource, all
// of its namespace, or the object alone.
func (s *Service) mayGet(ctx context.Context, o *history.ObjectRef) (bool, error) {
	for _, of := range [][2]string{{"", ""}, {o.Namespace, ""}, {o.Namespace, o.Name}} {
		if allowed, err := s.caller.Get(ctx, o.GroupResource(), of[0], of[1]); allowed || err != nil {
			return allowed, err
		}
	}
	return false, nil
}

// withoutHashes returns a copy of a record without the hashes of a Secret's
// values.
func withoutHashes(r *history.Record) *history.Record {
	c := *r
	c.Object = secretHash.ReplaceAll(r.Object, []byte(hiddenHash))
	if r.Summary != nil {
		c.Summary = &history.Summary{Text: hide(r.Summary.Text), Problem: hide(r.Summary.Problem)}
	}
	c.Managers = slices.Clone(r.Managers)
	for i := range c.Managers {
		m := &c.Managers[i]
		m.Name = hide(m.Name)
		m.Fields = slices.Clone(m.Fields)
		for j := range m.Fields {
			m.Fields[j] = hide(m.Fields[j])
		}
	}
	return &c
}

// hide replaces the hashes in a text.
func hide(text string) string { return secretHash.ReplaceAllString(text, hiddenHash) }
