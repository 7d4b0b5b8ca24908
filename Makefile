# Everything runs from a fresh clone on a machine with Rust, Go, make and openssl; each target does its own set-up.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

.PHONY: help
help: ## Show the targets
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 22

# The last line is for the CRD that we bring to clusters that aren't OpenShift: ours and theirs are interchangeable.
.PHONY: test
test: controlplane ## Check formatting, lints and docs, and run all tests
	cargo fmt --check
	cargo clippy --all-targets --locked -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --no-deps --document-private-items --locked
	cargo test --locked
	UPGRADE_GATE_CRDS=ours cargo test --locked --test controlplane

.PHONY: controlplane
controlplane: ## Provide kube-apiserver, etcd and kubectl (built once, into the user's cache)
	@hack/controlplane/provide >/dev/null
	@hack/controlplane/provide crds >/dev/null

.PHONY: clean
clean: ## Remove what was built here; the control plane in the user's cache stays
	cargo clean
