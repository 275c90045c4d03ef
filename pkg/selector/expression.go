package selector

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/interpreter"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// The limits of an expression, in CEL's units of cost: about one for each step,
// and one for ten bytes of text. Like the API server, the recorder allows more
// as an estimate, which assumes the worst, than when it evaluates.
const (
	maxEstimate  = 10_000_000
	maxCost      = 1_000_000 // for one version, about 0.1 s
	maxDepth     = 64        // of the syntax tree
	checkContext = 100       // iterations between two checks of the context
)

// ErrTooExpensive means that the evaluation of an expression for one version
// exceeded the limit.
var ErrTooExpensive = history.Errorf(history.Invalid,
	"the expression costs more than %d steps for one version: want fewer nested loops, or another filter in addition",
	maxCost)

// The variables of expressions.
const (
	varObject   = "object"
	varOld      = "old"
	varVerb     = "verb"
	varManagers = "managers"
	varChanged  = "changed"
	varProblem  = "problem"
	varNewest   = "newest"
	varCreated  = "created"
)

// Expression is a compiled CEL expression that is true or false for a version.
// It is safe for concurrent use.
type Expression struct {
	program  cel.Program
	object   bool // it reads the object, or more
	previous bool // it reads other versions, or the problem
	log      bool // it reads what only a log has
}

// NeedsLog reports whether the expression reads what only a log has: the
// problem of a version, whether it is the newest, and whether the object's
// creation was recorded.
func (e *Expression) NeedsLog() bool { return e.log }

// Version is a version for which an expression is evaluated, in the form that
// the reader may see.
type Version struct {
	*history.Record

	// Previous returns the previous version with its object, or nil if there is
	// none or it is not stored. It is called at most once, and only if the
	// expression needs it.
	Previous func() (*history.Record, error)
	// Problem returns what is wrong with the object, or "". It is called at
	// most once. nil means that it is not known.
	Problem func() (string, error)
	// Newest reports whether there is no later version of the object. It is
	// called at most once. nil means that it is not known.
	Newest func() (bool, error)
	// Created reports whether the creation of the object was recorded. It is
	// called at most once. nil means that it is not known.
	Created func() (bool, error)
}

// environment returns the environment of all expressions. It is made once,
// because that takes milliseconds.
var environment = sync.OnceValues(func() (*cel.Env, error) { //nolint:gochecknoglobals // a constant
	return cel.NewEnv(
		cel.CustomTypeAdapter(adapter{types.DefaultTypeAdapter}),
		cel.Variable(varObject, cel.DynType),
		cel.Variable(varOld, cel.DynType),
		cel.Variable(varVerb, cel.StringType),
		cel.Variable(varManagers, cel.ListType(cel.StringType)),
		cel.Variable(varChanged, cel.ListType(cel.StringType)),
		cel.Variable(varProblem, cel.StringType),
		cel.Variable(varNewest, cel.BoolType),
		cel.Variable(varCreated, cel.BoolType),
		cel.OptionalTypes(),
		cel.CrossTypeNumericComparisons(true),
		cel.DefaultUTCTimeZone(true),
		cel.ParserExpressionSizeLimit(maxLength),
		cel.ParserRecursionLimit(maxDepth),
		cel.ExpressionNestingDepthLimit(maxDepth),
	)
})

// Compile compiles an expression. The error of an invalid one begins with its
// line and column.
func Compile(text string) (*Expression, error) {
	if err := checkLength(text); err != nil {
		return nil, err
	}
	env, err := environment()
	if err != nil {
		return nil, fmt.Errorf("prepare CEL: %w", err)
	}
	ast, issues := env.Compile(text)
	if err := issues.Err(); err != nil {
		return nil, syntaxError(issues)
	}
	if out := ast.OutputType(); !out.IsExactType(cel.BoolType) && !out.IsExactType(cel.DynType) {
		return nil, history.Errorf(history.Invalid,
			"line 1, column 1: the expression is of type %s: want true or false", out)
	}
	cost, err := env.EstimateCost(ast, sizes{})
	if err != nil {
		return nil, history.Errorf(history.Invalid, "%v", err)
	}
	if cost.Max > maxEstimate {
		return nil, history.Errorf(history.Invalid,
			"line 1, column 1: the expression may cost %d steps for one version, more than %d: want fewer nested loops",
			cost.Max, maxEstimate)
	}
	program, err := env.Program(ast, cel.CostLimit(maxCost), cel.InterruptCheckFrequency(checkContext),
		cel.EvalOptions(cel.OptOptimize))
	if err != nil { // such as a regular expression that is invalid
		return nil, history.Errorf(history.Invalid, "line 1, column 1: %v", err)
	}
	e := &Expression{program: program}
	for _, of := range ast.NativeRep().ReferenceMap() {
		e.log = e.log || of.Name == varProblem || of.Name == varNewest || of.Name == varCreated
		e.previous = e.previous || e.log || of.Name == varOld || of.Name == varChanged
		e.object = e.object || e.previous || of.Name == varObject
	}
	return e, nil
}

// syntaxError returns the first error of a compilation, in one line.
func syntaxError(issues *cel.Issues) error {
	for _, issue := range issues.Errors() {
		message := strings.Join(strings.Fields(strings.ReplaceAll(issue.Message, " (in container '')", "")), " ")
		return history.Errorf(history.Invalid, "line %d, column %d: %s",
			max(issue.Location.Line(), 1), max(issue.Location.Column(), 0)+1, message)
	}
	return history.Errorf(history.Invalid, "line 1, column 1: %v", issues.Err())
}

// needsObject reports whether the expression reads more than the metadata.
func (e *Expression) needsObject() bool { return e.object }

// Matches reports whether the expression is true for a version. An expression
// that fails, because a field is missing or has another type, is false.
// [ErrTooExpensive] means that it was not evaluated completely. Other errors
// are those of ctx and of the version's functions.
func (e *Expression) Matches(ctx context.Context, v Version) (bool, error) {
	vars := &variables{version: v}
	value, _, err := e.program.ContextEval(ctx, vars)
	switch cancelled := (interpreter.EvalCancelledError{}); {
	case ctx.Err() != nil:
		return false, ctx.Err()
	case vars.err != nil:
		return false, vars.err
	case errors.As(err, &cancelled) && cancelled.Cause != interpreter.ContextCancelled:
		return false, ErrTooExpensive
	default:
		return err == nil && value == types.True, nil
	}
}
