//go:build tools

// Package controlplane keeps OpenShift's API module required when go.mod is tidied: only its CRD files are used.
package controlplane

import _ "github.com/openshift/api/config/v1"
