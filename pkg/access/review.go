package access

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/user"
	authorizationclient "k8s.io/client-go/kubernetes/typed/authorization/v1"

	"github.com/watchhistory/watchhistory/pkg/access/internal/outage"
)

const (
	// allowedLife and deniedLife are how long decisions are used. A right that
	// is withdrawn ends, and one that is granted begins, within this time.
	allowedLife = 30 * time.Second
	deniedLife  = 10 * time.Second

	// maxDecisions takes about 10 MB. A question about all namespaces by a
	// caller with rights in some needs one for each resource and namespace.
	maxDecisions = 65_536
)

// reviewer asks the API server for rights.
type reviewer struct {
	reviews    authorizationclient.SubjectAccessReviewInterface
	log        *outage.Log
	decisions  *cache[bool]
	namespaces *namespaces // outdated by every new right
}

// newReviewer returns a reviewer with an empty cache.
func newReviewer(
	authorization authorizationclient.SubjectAccessReviewsGetter, namespaces *namespaces,
	log *outage.Log, now func() time.Time,
) *reviewer {
	life := func(allowed bool) time.Duration {
		if allowed {
			return allowedLife
		}
		return deniedLife
	}
	return &reviewer{
		reviews: authorization.SubjectAccessReviews(), log: log, namespaces: namespaces,
		decisions: newCache(now, maxDecisions, life),
	}
}

// asker is a user whose rights are reviewed.
type asker struct {
	user.Info

	hash key // of the user's identity, for the keys of decisions
}

// newAsker returns the asker for a user.
func newAsker(u user.Info) (asker, error) {
	identity, err := json.Marshal(subject(u))
	if err != nil {
		return asker{}, fmt.Errorf("encode an access review: %w", err)
	}
	return asker{u, sha256.Sum256(identity)}, nil
}

// question returns the key of a decision. It is a hash of the whole question,
// so that no two questions share an answer.
func (a *asker) question(texts ...string) key {
	b := append(make([]byte, 0, 512), a.hash[:]...)
	for _, text := range texts {
		b = append(binary.AppendUvarint(b, uint64(len(text))), text...)
	}
	return sha256.Sum256(b)
}

// resource reports whether a user has a right on resources.
func (r *reviewer) resource(ctx context.Context, u *asker, a authorizationv1.ResourceAttributes) (bool, error) {
	question := u.question(a.Verb, a.Group, a.Version, a.Resource, a.Subresource, a.Namespace, a.Name)
	return r.decisions.get(ctx, question, func(ctx context.Context) (bool, error) {
		spec := subject(u)
		spec.ResourceAttributes = &a
		return r.review(ctx, spec)
	})
}

// path reports whether a user may get a path that is not a resource.
func (r *reviewer) path(ctx context.Context, u *asker, path string) (bool, error) {
	return r.decisions.get(ctx, u.question("path", path), func(ctx context.Context) (bool, error) {
		spec := subject(u)
		spec.NonResourceAttributes = &authorizationv1.NonResourceAttributes{Path: path, Verb: "get"}
		return r.review(ctx, spec)
	})
}

// subject returns a review of a user's rights, still without a right.
func subject(u user.Info) authorizationv1.SubjectAccessReviewSpec {
	extra := make(map[string]authorizationv1.ExtraValue, len(u.GetExtra()))
	for k, values := range u.GetExtra() {
		extra[k] = values
	}
	return authorizationv1.SubjectAccessReviewSpec{
		User: u.GetName(), UID: u.GetUID(), Groups: u.GetGroups(), Extra: extra,
	}
}

// review asks the API server for a decision.
//
// A review that is not allowed and has an evaluation error is not a decision:
// an authorizer failed that could have allowed it. The API server reports such
// requests as failed, too.
func (r *reviewer) review(ctx context.Context, spec authorizationv1.SubjectAccessReviewSpec) (bool, error) {
	operation := outage.Operation{
		Name: "review access",
		Grant: "grant create of subjectaccessreviews.authorization.k8s.io to the recorder, " +
			"for example by the ClusterRole system:auth-delegator",
	}
	answer, err := r.reviews.Create(ctx, &authorizationv1.SubjectAccessReview{Spec: spec}, metav1.CreateOptions{})
	if err == nil && !answer.Status.Allowed && !answer.Status.Denied && answer.Status.EvaluationError != "" {
		err = apierrors.NewInternalError(fmt.Errorf("evaluation error: %s", answer.Status.EvaluationError))
	}
	if err != nil {
		return false, r.log.Error(ctx, operation, err)
	}
	r.log.Success(ctx, operation)
	allowed := answer.Status.Allowed && !answer.Status.Denied
	if allowed {
		r.namespaces.granted()
	}
	return allowed, nil
}
