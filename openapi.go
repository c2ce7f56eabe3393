// Package chronicle holds the one file of the project's root that the binary
// carries: the contract of the REST interface.
package chronicle

import _ "embed"

// OpenAPI is openapi.yaml: the REST server checks requests against it and serves
// it under /openapi.yaml. Treat it as read-only.
//
//go:embed openapi.yaml
var OpenAPI []byte
