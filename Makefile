# Every target runs from a fresh clone on a machine with Rust, Go, make and openssl, and does its own set-up.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

.PHONY: help
help: ## Show the targets
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 22

.PHONY: test
test: ## Check formatting, lints and docs, run all tests, and print how long each step took
	@hack/test

.PHONY: docs
docs: ## Build the manual as a book: target/docs/index.html (builds mdBook once, some minutes)
	@hack/docs

.PHONY: deny
deny: ## Check licences, bans and sources of dependencies; advisories if their database is on this machine
	@hack/deny

.PHONY: sbom
sbom: ## Write a bill of materials of the binary to target/upgrade-gate.cdx.json (CycloneDX)
	@hack/sbom

# Builds what this machine can; .github/workflows/release.yaml builds the rest. See docs/releases.md.
.PHONY: dist
dist: ## Write a release to target/dist: binaries, SBOM, checksums; IMAGE=…@sha256:… install files; URL=… krew manifest
	@KUBECTL='$(KUBECTL)' hack/dist all '$(IMAGE)' '$(URL)'

.PHONY: check-release
check-release: ## Check the workflows with actionlint, and the plugin's manifest with krew
	@hack/release/lint

# A minute for each target, or FUZZ_SECONDS. The first run builds its tools, which takes some minutes.
.PHONY: fuzz
fuzz: ## Fuzz the parsers of input, a minute for each target (FUZZ_SECONDS=60)
	@hack/fuzz

# The tests that check results, not numbers of writes: after a lost answer, a write may be repeated.
WITH_RANDOM_FAULTS := mission:: gates:: requests:: sources:: versions:: conditions:: conflicts:: records:: history:: once:: bridge \
	$(patsubst %,--skip %,bridge_conditions::a_force_is_set bridge_history::accepted_risks_erased history::an_existing_entry \
	once::the_same_request once::two_replicas)
# Another seed: UPGRADE_GATE_SEED=7 make faults.
.PHONY: faults
faults: controlplane ## Run every scenario under every fault, from 1,000 states, and all tests with random faults (an hour)
	UPGRADE_GATE_FAULTS=all UPGRADE_GATE_STATES=1000 cargo test --locked --test controlplane -- faults:: level::
	UPGRADE_GATE_RANDOM_FAULTS=$${UPGRADE_GATE_SEED:-1} cargo test --locked --test controlplane -- $(WITH_RANDOM_FAULTS)

.PHONY: soak
soak: controlplane ## Run an operator under load for an hour, and check its memory (UPGRADE_GATE_SOAK_MINUTES=60)
	cargo build --locked --release --bin upgrade-gate
	UPGRADE_GATE_BINARY="$$PWD/target/release/upgrade-gate" \
		cargo test --locked --test controlplane -- --ignored --nocapture soak::

# ROUNDS sets how often each reaction is timed. The last bench prints the figures of all of them.
.PHONY: bench
bench: controlplane ## Measure the cost of an evaluation, and reaction times (10 minutes)
	cargo bench --locked --bench core --bench check
	cargo bench --locked --bench end_to_end

.PHONY: model
model: ## Explore the model of the write protocol within wider bounds (15 minutes, 4 GB)
	cargo test --locked --test model -- --ignored --nocapture --test-threads=1

.PHONY: mutants
mutants: ## Look for mutants of the gate and the plan that no unit test kills (two hours)
	@command -v cargo-mutants >/dev/null || cargo install cargo-mutants --locked
	cargo mutants

.PHONY: demo
demo: ## Show on a real API server what the command and the operator do
	@hack/demo

.PHONY: cluster
cluster: ## Run the image in Pods on a one-node cluster, as root on Linux (2 minutes; SLOW=1: 12; KUBECONFIG=… IMAGE=…: on another cluster)
	@hack/cluster/run

.PHONY: controlplane
controlplane: ## Provide kube-apiserver, etcd and kubectl (built once, into the user's cache)
	@hack/controlplane/provide >/dev/null
	@hack/controlplane/provide crds >/dev/null

# kubectl and oc find a plugin by its name, anywhere on the PATH; ~/.local/bin is on most.
PREFIX ?= $(HOME)/.local
.PHONY: install
install: ## Install upgrade-gate, also as `kubectl upgrade-gate` and `oc upgrade-gate`, into PREFIX/bin (~/.local)
	cargo build --release --locked --bin upgrade-gate
	install -d '$(DESTDIR)$(PREFIX)/bin'
	install -m 755 target/release/upgrade-gate '$(DESTDIR)$(PREFIX)/bin/upgrade-gate'
	ln -sf upgrade-gate '$(DESTDIR)$(PREFIX)/bin/kubectl-upgrade_gate'
	ln -sf upgrade-gate '$(DESTDIR)$(PREFIX)/bin/oc-upgrade_gate'
	@[[ ":$$PATH:" == *':$(PREFIX)/bin:'* ]] || echo 'Add $(PREFIX)/bin to your PATH.'

# The same sources, arguments and builder give the same binary, see Dockerfile. CONTAINER=docker uses docker, and
# BUILDER=registry.example.com/rust@sha256:… another image to build with.
CONTAINER ?= podman
.PHONY: image
image: ## Build and push IMAGE=registry.example.com/upgrade-gate:TAG
	@[[ -n '$(IMAGE)' ]] || { echo 'image: IMAGE is not set: make image IMAGE=registry.example.com/upgrade-gate:0.1.0' >&2; exit 2; }
	$(CONTAINER) build --build-arg COMMIT="$$(git rev-parse HEAD)" \
		--build-arg SOURCE_DATE_EPOCH="$$(git log -1 --format=%ct)" \
		$(if $(BUILDER),--build-arg BUILDER='$(BUILDER)') --tag '$(IMAGE)' .
	$(CONTAINER) push '$(IMAGE)'

# Uses the cluster of the current context; KUBECTL=oc, or KUBECTL='kubectl --context NAME', changes that.
KUBECTL ?= $(if $(shell command -v kubectl),kubectl,oc)
.PHONY: deploy
deploy: ## Deploy: OVERLAY=openshift or OVERLAY=kubernetes, IMAGE=registry.example.com/upgrade-gate:TAG
	@KUBECTL='$(KUBECTL)' hack/deploy '$(OVERLAY)' '$(IMAGE)'

.PHONY: undeploy
undeploy: ## Remove it from the cluster, in an order that leaves nothing that blocks updates
	@KUBECTL='$(KUBECTL)' hack/undeploy

.PHONY: clean
clean: ## Remove what was built here; the control plane in the user's cache stays
	cargo clean
