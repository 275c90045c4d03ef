package openapi

import (
	"net/http"
	"reflect"
	"slices"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
)

// endpoint describes the answers to a GET of one path.
type endpoint struct {
	path       string // a template if it has parameters
	id         string // the name of the operation in generated clients
	parameters []string
	answers    []answer
}

// answer describes the answers with one status.
type answer struct {
	status   int
	text     string
	json     reflect.Type // nil: no JSON
	folded   reflect.Type // the answer with v1.ParamFold; nil: there is none
	lines    reflect.Type // may be a stream of JSON documents of this type, one a line; nil: never
	plain    bool         // may be text/plain
	required []string     // headers
	optional []string     // headers
	// shared is the name of an answer that several endpoints have. It becomes a
	// component.
	shared string
}

// The headers that package v1 has no constant for.
const (
	requestIDHeader    = "X-Request-Id"
	timingHeader       = "Server-Timing"
	tagHeader          = "ETag"
	cacheHeader        = "Cache-Control"
	varyHeader         = "Vary"
	linkHeader         = "Link"
	encodingHeader     = "Content-Encoding"
	sniffingHeader     = "X-Content-Type-Options"
	retryHeader        = "Retry-After"
	authenticateHeader = "WWW-Authenticate"
)

// headerTexts describes the headers that package v1 has no constant for.
func headerTexts() map[string]string {
	return map[string]string{
		requestIDHeader: "The name of the request in the recorder's log: that of the request, or a new one.",
		timingHeader: "The durations of the steps of the query, in milliseconds: wait is the time until it ran, and " +
			"the others are those of the endpoint.",
		tagHeader: "A strong validator of the body. It is absent if the answer may change, or if the body is sent in " +
			"several steps.",
		cacheHeader: "Whether the answer may be stored. It may be reused only after it was requested again, because " +
			"rights may change.",
		varyHeader:     "The headers of the request that select the encoding.",
		linkHeader:     "The address of the next page, relative to that of the request. It is absent on the last page.",
		encodingHeader: "The compression of the body: gzip, or none.",
		sniffingHeader: "Browsers must not guess the type of the body.",
		retryHeader: "Seconds after which the query may be sent again. It is present if a limit was reached and the " +
			"query was not run.",
		authenticateHeader: "How to authenticate.",
	}
}

// headers returns the names of headers, in order, without repetitions.
func headers(lists ...[]string) []string {
	all := slices.Concat(lists...)
	slices.Sort(all)
	return slices.Compact(all)
}

// onAll are headers that every answer may have.
func onAll() []string { return []string{requestIDHeader, sniffingHeader} }

// onQueries are further headers of the answers to queries.
func onQueries() []string { return []string{timingHeader, varyHeader, encodingHeader} }

// onRecords are further headers of the answers that contain records, or that
// explain why they contain none.
func onRecords() []string {
	return []string{
		v1.GapsHeader, v1.GapListHeader, v1.IgnoredHeader, v1.SinceHeader, v1.SinceTrimmedHeader, v1.NotRecordedHeader,
		v1.RestrictedHeader,
	}
}

// onPages are further headers of the answers that are pages.
func onPages() []string {
	return []string{v1.TotalCountRelationHeader, v1.NextCursorHeader, linkHeader, tagHeader, cacheHeader}
}

// objectList is in place of the type of a List of the Kubernetes API, for which
// package v1 has no type.
type objectList struct{}

// as returns an answer with a name, which several endpoints have.
func (a answer) as(name string) answer { a.shared = name; return a }

// failure returns an answer that reports an error as JSON.
func failure(status int, text string, optional ...string) answer {
	return answer{
		status: status, text: text, json: reflect.TypeFor[v1.ErrorBody](),
		optional: headers(onAll(), optional),
	}
}

// plainToo returns an answer whose body may be text, too.
func plainToo(a answer) answer { a.plain = true; return a }

// refusals returns the answers of every path to requests that are not accepted.
func refusals() []answer {
	return []answer{
		failure(http.StatusRequestEntityTooLarge, "The request has a body of more than 64 KiB.").as("LargeBody"),
		failure(http.StatusMisdirectedRequest, "The Host of the request is not a name of this recorder.").
			as("UnknownHost"),
		answer{
			status: http.StatusRequestHeaderFieldsTooLarge, plain: true,
			text: "The request has headers of more than 64 KiB.",
		}.as("LargeHeaders"),
	}
}

// unidentified returns the answers of a recorder that identifies its callers.
func unidentified() []answer {
	return []answer{
		failure(http.StatusUnauthorized, "The recorder identifies its callers, and does not know this one.",
			authenticateHeader).as("Unauthorized"),
		failure(http.StatusForbidden, "The caller may not read this path, or may not impersonate the user.").
			as("Forbidden"),
	}
}

// query returns the answers of an endpoint that reads the log: its own ones,
// and those that all of them have.
func query(own ...answer) []answer {
	for i := range own {
		own[i].optional = headers(onAll(), onQueries(), own[i].optional)
	}
	limits := onQueries()
	all := slices.Concat(own, refusals(), unidentified(), []answer{
		failure(http.StatusTooManyRequests, "A limit of this client is reached. The query was not run.",
			append(limits, retryHeader)...).as("TooManyRequests"),
		failure(http.StatusServiceUnavailable, "The query cannot be answered now.",
			slices.Concat(limits, onRecords(), []string{retryHeader})...).as("Unavailable"),
	})
	return all
}

// page returns the answer with a page of records.
func page(text string, body reflect.Type, more ...string) answer {
	return answer{
		status: http.StatusOK, text: text, json: body,
		required: headers([]string{v1.TotalCountHeader, v1.HasMoreHeader, v1.GapsHeader}),
		optional: headers(onRecords(), onPages(), more),
	}
}

// orFolded returns an answer with a page that may also be folded.
func (a answer) orFolded() answer {
	a.text += " With fold, a page of rows instead."
	a.folded = reflect.TypeFor[v1.FoldedPage]()
	return a
}

// orStream returns an answer with a page that may also be a stream. A stream
// has none of the headers that a page needs, so they are optional.
func orStream(page answer, text string) answer {
	page.text += " " + text
	page.lines = reflect.TypeFor[v1.StreamItem]()
	page.optional = headers(page.required, page.optional, []string{cacheHeader})
	page.required = nil
	return page
}

// unchanged returns the answer to a request with If-None-Match.
func unchanged(more ...string) answer {
	return answer{
		status: http.StatusNotModified, text: "The client has the body with this ETag already.",
		required: []string{tagHeader},
		optional: headers(onRecords(), onPages(), []string{v1.TotalCountHeader, v1.HasMoreHeader}, more),
	}
}

// static returns the answers of an endpoint that does not read the log.
func static(own ...answer) []answer {
	for i := range own {
		own[i].optional = headers(onAll(), own[i].optional)
	}
	return slices.Concat(own, refusals())
}

// fixedFailure returns an error whose text is fixed. An error in an additive
// parameter, and an internal one, is JSON.
func fixedFailure(status int, text string) answer {
	return plainToo(failure(status, text, slices.Concat(onQueries(), onRecords())...))
}

// endpoints returns all endpoints, in the order of docs/api.md.
func endpoints() []endpoint {
	types := []string{v1.ParamResourceType, v1.ParamResourceName, v1.ParamGroup, v1.ParamUID}
	objects := append([]string{oneNamespace}, types...)
	contents := []string{
		v1.ParamLabelSelector, v1.ParamFieldSelector, v1.ParamReason, v1.ParamType, v1.ParamWriter,
		v1.ParamText, v1.ParamQuery,
	}
	paging := []string{v1.ParamLimit, v1.ParamCursor}
	invalid := func(also ...string) answer {
		return failure(http.StatusBadRequest, "A parameter is invalid. The message names it.",
			slices.Concat(onQueries(), also)...)
	}
	internal := failure(http.StatusInternalServerError, "The query failed. The recorder's log has the details.",
		slices.Concat(onQueries(), onRecords())...).as("Failed")
	noState := failure(http.StatusNotFound, "Nothing was recorded at the time, or the type was never recorded.",
		slices.Concat(onQueries(), onRecords())...)
	noDocument := failure(http.StatusNotFound, "Nothing was recorded at the time.", onQueries()...)
	return []endpoint{
		{
			path: v1.EventsPath, id: "listEvents",
			parameters: slices.Concat([]string{v1.ParamStart, v1.ParamEnd, v1.ParamNamespace}, types,
				[]string{v1.ParamVerb, v1.ParamUser, v1.ParamManager, v1.ParamClass}, contents,
				[]string{v1.ParamOrder}, paging,
				[]string{
					v1.ParamSummary, v1.ParamEmpty, v1.ParamFold, v1.ParamConsequences,
					v1.ParamOutcome, v1.ParamPrevious, v1.ParamWatch,
				}),
			answers: query(
				orStream(page("A page of records.", reflect.TypeFor[[]v1.Event]()).orFolded(),
					"With watch, a stream with one JSON document a line instead."),
				unchanged(),
				fixedFailure(http.StatusBadRequest, "A parameter is invalid. The text names it."),
				answer{
					status: http.StatusNotFound, text: "Nothing matches. The parameter empty selects another status.",
					plain: true, required: []string{v1.GapsHeader}, optional: onRecords(),
				},
				fixedFailure(http.StatusInternalServerError, "The query failed."),
			),
		},
		{
			path: v1.ObjectPath, id: "getObjectHistory",
			parameters: slices.Concat(
				[]string{
					v1.ParamStart, v1.ParamEnd, v1.ParamGroup, v1.ParamUID, v1.ParamVerb, v1.ParamManager,
					v1.ParamClass,
				},
				contents, []string{v1.ParamRevision, v1.ParamDescendants, v1.ParamOrder}, paging,
				[]string{v1.ParamSummary, v1.ParamEmpty}),
			answers: query(
				page("A page of its records, and one of those of Events.", reflect.TypeFor[v1.ObjectHistory]()),
				unchanged(),
				fixedFailure(http.StatusBadRequest, "The path or a parameter is invalid. The text names it."),
				answer{
					status: http.StatusNotFound, text: "Nothing matches. The parameter empty selects another status.",
					plain: true, required: []string{v1.GapsHeader}, optional: onRecords(),
				},
				fixedFailure(http.StatusInternalServerError, "The query failed."),
			),
		},
		{
			path: v1.StatePath, id: "getState",
			parameters: slices.Concat([]string{v1.ParamAt}, objects, []string{v1.ParamStrip, v1.ParamProblem}, paging),
			answers: query(
				page("A page of objects.", reflect.TypeFor[objectList](), v1.AtHeader), unchanged(v1.AtHeader),
				invalid(onRecords()...), noState, internal,
			),
		},
		{
			path: v1.ComparePath, id: "compareStates",
			parameters: slices.Concat([]string{v1.ParamFrom, v1.ParamTo}, objects,
				[]string{v1.ParamNoise, v1.ParamCount, v1.ParamSummary}, paging),
			answers: query(
				page("A page of differences.", reflect.TypeFor[v1.Comparison]()), unchanged(),
				invalid(onRecords()...), noState, internal,
			),
		},
		{
			path: v1.RelationsPath, id: "getRelations",
			parameters: []string{v1.ParamAt, v1.ParamGroup, v1.ParamDepth},
			answers: query(
				page("The object and its relations.", reflect.TypeFor[v1.RelationGraph]()), unchanged(),
				invalid(onRecords()...),
				failure(http.StatusNotFound, "The object did not exist at the time and nothing leads to it, "+
					"nothing was recorded, or the type is not known.", slices.Concat(onQueries(), onRecords())...),
				internal,
			),
		},
		{
			path: v1.WhyPath, id: "getWhy",
			parameters: []string{v1.ParamAt, v1.ParamGroup, v1.ParamLimit},
			answers: query(
				page("The object's symptoms, and what may have caused them.", reflect.TypeFor[v1.Why]()), unchanged(),
				invalid(onRecords()...),
				failure(http.StatusNotFound, "The object did not exist at the time and nothing leads to it, "+
					"nothing was recorded, or the type is not known.", slices.Concat(onQueries(), onRecords())...),
				internal,
			),
		},
		{
			path: v1.ResourcesPath, id: "listResources",
			answers: query(
				answer{status: http.StatusOK, text: "All resources.", json: reflect.TypeFor[v1.ResourceList]()},
				internal,
			),
		},
		{
			path: v1.GapsPath, id: "listGaps",
			parameters: []string{v1.ParamStart, v1.ParamEnd, v1.ParamResourceType, v1.ParamGroup},
			answers: query(
				answer{
					status: http.StatusOK, text: "The gaps.", json: reflect.TypeFor[v1.GapList](),
					required: []string{v1.GapsHeader}, optional: []string{v1.GapListHeader},
				},
				invalid(), internal,
			),
		},
		{
			path: v1.CataloguePath, id: "getCatalogue", parameters: []string{v1.ParamAt},
			answers: query(
				answer{
					status: http.StatusOK, text: "The documents that were served.",
					json: reflect.TypeFor[v1.Catalogue](),
				},
				invalid(), noDocument, internal,
			),
		},
		{
			path: v1.DocumentPath, id: "getDocument",
			parameters: []string{
				v1.ParamAt, v1.ParamHash, v1.ParamVersions, v1.ParamStart, v1.ParamEnd, v1.ParamLimit,
			},
			answers: query(
				answer{
					status: http.StatusOK, json: reflect.TypeFor[map[string]any](),
					text:     "The document byte for byte, or its history as an object with name, versions and gaps.",
					optional: []string{tagHeader, cacheHeader, v1.TimestampHeader, v1.HasMoreHeader},
				},
				answer{
					status: http.StatusNotModified, text: "The client has the body with this ETag already.",
					required: []string{tagHeader}, optional: []string{cacheHeader, v1.TimestampHeader},
				},
				invalid(), noDocument, internal,
			),
		},
		{
			path: v1.RecorderPath, id: "getRecorder",
			answers: slices.Concat(static(answer{
				status: http.StatusOK, text: "The recorder.", json: reflect.TypeFor[v1.Recorder](),
			}), unidentified()),
		},
		{
			path: v1.OpenAPIPath, id: "getOpenAPI",
			answers: static(
				answer{
					status: http.StatusOK, text: "The OpenAPI document.", json: reflect.TypeFor[map[string]any](),
					required: []string{tagHeader}, optional: []string{cacheHeader},
				},
				answer{
					status: http.StatusNotModified, text: "The client has the body with this ETag already.",
					required: []string{tagHeader}, optional: []string{cacheHeader},
				},
			),
		},
		{
			path: v1.HealthPath, id: "getHealth",
			answers: static(answer{
				status: http.StatusOK, text: "The process serves.", json: reflect.TypeFor[v1.Health](),
			}),
		},
		{
			path: v1.LivezPath, id: "getLivez",
			answers: static(answer{status: http.StatusOK, text: "The process serves.", plain: true}),
		},
		{
			path: v1.ReadyzPath, id: "getReadyz",
			answers: static(
				answer{
					status: http.StatusOK, plain: true,
					text: "History can be read. The first line is ok, and further lines list what is not in sync.",
				},
				failure(http.StatusInternalServerError, "The recorder failed. Its log has the details."),
			),
		},
		{
			path: v1.MetricsPath, id: "getMetrics",
			answers: slices.Concat(static(
				answer{
					status: http.StatusOK, text: "The metrics.", plain: true,
					optional: []string{encodingHeader, varyHeader},
				},
			), unidentified(), []answer{
				failure(http.StatusServiceUnavailable, "The caller's rights are not known now."),
			}),
		},
	}
}
