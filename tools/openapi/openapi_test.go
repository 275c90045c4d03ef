package openapi_test

import (
	"os"
	"testing"

	"github.com/pb33f/libopenapi"
	validator "github.com/pb33f/libopenapi-validator"
)

// TestDocument_IsValid validates pkg/api/openapi.json against the schema of
// OpenAPI 3.1, and builds the model that generators of clients work on.
func TestDocument_IsValid(t *testing.T) {
	data, err := os.ReadFile("../../pkg/api/openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	document, err := libopenapi.NewDocument(data)
	if err != nil {
		t.Fatal(err)
	}
	model, err := document.BuildV3Model()
	if err != nil {
		t.Fatal(err)
	}
	if got := model.Model.Paths.PathItems.Len(); got < 10 {
		t.Errorf("got %d paths, want at least 10", got)
	}
	v, problems := validator.NewValidator(document)
	if len(problems) > 0 {
		t.Fatalf("got %v, want a validator", problems)
	}
	valid, found := v.ValidateDocument()
	for _, problem := range found {
		t.Errorf("got %s: %s %v, want none", problem.Message, problem.Reason, problem.SchemaValidationErrors)
	}
	if !valid {
		t.Error("got an invalid document, want a valid one")
	}
}
