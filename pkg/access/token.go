package access

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/user"
	authenticationclient "k8s.io/client-go/kubernetes/typed/authentication/v1"

	"github.com/watchhistory/watchhistory/pkg/access/internal/outage"
)

const (
	// tokenLife is how long an answer about a token is used. It is that of
	// aggregated API servers.
	tokenLife = 10 * time.Second
	maxTokens = 1024
)

// tokens identifies bearer tokens by TokenReviews.
type tokens struct {
	client authenticationclient.TokenReviewInterface
	log    *outage.Log
	secret []byte                   // of the keys of users, which must not be hashes of tokens
	users  *cache[user.DefaultInfo] // without a name if the token is rejected
}

// newTokens returns tokens with an empty cache.
func newTokens(client authenticationclient.TokenReviewInterface, log *outage.Log, now func() time.Time) *tokens {
	t := &tokens{client: client, log: log, secret: make([]byte, sha256.Size)}
	_, _ = rand.Read(t.secret) // never fails
	t.users = newCache(now, maxTokens, func(user.DefaultInfo) time.Duration { return tokenLife })
	return t
}

// identify returns the user of a token, and whether the API server accepts it.
func (t *tokens) identify(ctx context.Context, token string) (user.Info, bool, error) {
	mac := hmac.New(sha256.New, t.secret)
	mac.Write([]byte(token))
	u, err := t.users.get(ctx, key(mac.Sum(nil)), func(ctx context.Context) (user.DefaultInfo, error) {
		return t.review(ctx, token)
	})
	return &u, u.Name != "", err
}

// review asks the API server for the user of a token.
func (t *tokens) review(ctx context.Context, token string) (user.DefaultInfo, error) {
	operation := outage.Operation{
		Name: "review a token",
		Grant: "grant create of tokenreviews.authentication.k8s.io to the recorder, " +
			"for example by the ClusterRole system:auth-delegator",
	}
	review := &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: token}}
	answer, err := t.client.Create(ctx, review, metav1.CreateOptions{})
	if err != nil {
		return user.DefaultInfo{}, t.log.Error(ctx, operation, err)
	}
	t.log.Success(ctx, operation)
	if !answer.Status.Authenticated {
		return user.DefaultInfo{}, nil
	}
	u := answer.Status.User
	extra := make(map[string][]string, len(u.Extra))
	for k, values := range u.Extra {
		extra[k] = values
	}
	return user.DefaultInfo{Name: u.Username, UID: u.UID, Groups: u.Groups, Extra: extra}, nil
}
