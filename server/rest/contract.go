package rest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/go-chi/chi/v5"

	"chronicle"
	"chronicle/server/errmap"
)

// contract checks requests against openapi.yaml.
type contract struct {
	doc   *openapi3.T
	plain *openapi3.T // doc as it is for checking parameters: see loadContract
	paths string      // what there is, for errors
}

// loadContract reads openapi.yaml, once for all servers of the process. That the
// document's examples follow its schemas is left to a test.
//
// Parameters are checked by kin-openapi's own validator, not by the one for
// JSON Schema 2020-12 that an OpenAPI 3.1 document selects: the latter compiles
// each schema anew for every request (230 µs instead of 8). Parameters use only
// keywords that mean the same to both; a test compares their verdicts.
var loadContract = sync.OnceValues(func() (*contract, error) {
	doc, err := openapi3.NewLoader().LoadFromData(chronicle.OpenAPI)
	if err != nil {
		return nil, fmt.Errorf("openapi.yaml: %w", err)
	}
	if err := doc.Validate(context.Background(), openapi3.DisableExamplesValidation()); err != nil {
		return nil, fmt.Errorf("openapi.yaml: %w", err)
	}
	plain := *doc
	plain.OpenAPI = "3.0.3"
	return &contract{doc: doc, plain: &plain, paths: strings.Join(slices.Sorted(slices.Values(doc.Paths.Keys())), ", ")}, nil
})

// route gives the operation that chi has found for r, and the path's parameters.
func (c *contract) route(r *http.Request, doc *openapi3.T) (*routers.Route, map[string]string, error) {
	rc := chi.RouteContext(r.Context())
	pattern := rc.RoutePattern()
	item := doc.Paths.Value(pattern)
	if item == nil || item.Get == nil {
		return nil, nil, fmt.Errorf("openapi.yaml has no GET %s", pattern)
	}
	params := make(map[string]string)
	for i, name := range rc.URLParams.Keys {
		value, err := pathValue(r, rc.URLParams.Values[i])
		if err != nil {
			return nil, nil, errmap.Invalid(name, rc.URLParams.Values[i], "percent-encoded UTF-8", "the path is not well encoded")
		}
		params[name] = value
	}
	return &routers.Route{Spec: doc, Path: pattern, PathItem: item, Method: http.MethodGet, Operation: item.Get}, params, nil
}

// pathValue decodes a parameter: chi takes it from the encoded path where there
// is one, which is how a symbol such as BTC%2FUSDT stays one element.
func pathValue(r *http.Request, v string) (string, error) {
	if r.URL.RawPath == "" {
		return v, nil
	}
	return url.PathUnescape(v)
}

// check refuses a request that openapi.yaml does not allow. It gives the path's
// and the query's parameters.
func (c *contract) check(r *http.Request) (params map[string]string, query url.Values, err error) {
	return c.checkBy(r, c.plain)
}

func (c *contract) checkBy(r *http.Request, doc *openapi3.T) (map[string]string, url.Values, error) {
	route, params, err := c.route(r, doc)
	if err != nil {
		return nil, nil, err
	}
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, nil, errmap.Invalid("query", clip(r.URL.RawQuery), "percent-encoded name=value, joined by &", "the query is not well encoded")
	}
	if err := known(route.Operation, values); err != nil {
		return nil, nil, err
	}
	err = openapi3filter.ValidateRequest(r.Context(), &openapi3filter.RequestValidationInput{
		Request: r, PathParams: params, QueryParams: values, Route: route,
		Options: &openapi3filter.Options{SkipSettingDefaults: true},
	})
	if err != nil {
		return nil, nil, explain(err, params, values)
	}
	return params, values, nil
}

// known refuses parameters that the operation does not have, which are mostly
// misspelt ones, and those given twice.
func known(op *openapi3.Operation, values url.Values) error {
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if op.Parameters.GetByInAndName(openapi3.ParameterInQuery, name) == nil {
			return errmap.Invalid(clip(name), clip(values.Get(name)), queryNames(op), "there is no such parameter")
		}
		if len(values[name]) > 1 {
			return errmap.Invalid(name, clip(strings.Join(values[name], ", ")), "one value", "the parameter is given more than once")
		}
	}
	return nil
}

func queryNames(op *openapi3.Operation) string {
	var names []string
	for _, p := range op.Parameters {
		if p.Value.In == openapi3.ParameterInQuery {
			names = append(names, p.Value.Name)
		}
	}
	if names == nil {
		return "no parameters"
	}
	return strings.Join(names, ", ")
}

// explain turns the validator's error into one that says how to mend the
// request; what is allowed is in the document, beside the rule.
func explain(err error, params map[string]string, values url.Values) error {
	var bad *openapi3filter.RequestError
	if !errors.As(err, &bad) || bad.Parameter == nil {
		return fmt.Errorf("checking the request: %w", err)
	}
	name := bad.Parameter.Name
	allowed, _ := bad.Parameter.Extensions["x-allowed"].(string)
	given, found := params[name]
	if !found {
		given, found = values.Get(name), values.Has(name)
	}
	switch {
	case !found:
		return errmap.Invalid(name, "", allowed, name+" is needed")
	case given == "":
		return errmap.Invalid(name, "", allowed, name+" is empty")
	case strings.Contains(given, " "):
		return errmap.Invalid(name, clip(given), allowed, name+" must be "+allowed+" (in a URL, + is written as %2B)")
	}
	return errmap.Invalid(name, clip(given), allowed, name+" must be "+allowed)
}

// clip bounds what a problem repeats of the request.
func clip(s string) string {
	const most = 200
	if len(s) > most {
		return strings.ToValidUTF8(s[:most], "") + "..."
	}
	return s
}
