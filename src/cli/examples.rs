//! What each command's `--help` shows as examples.

/// Examples of the program as a whole.
pub const OVERVIEW: &str = "\
Examples:
  # Which updates would go ahead, and the command for each
  upgrade-gate check
  # The same for a must-gather
  upgrade-gate check --from must-gather.local.123
  # Install a patch update that is refused because of overrides
  upgrade-gate update --to 4.21.2
  # The options of one command
  upgrade-gate help update";

/// Examples by the name of the command; `update` brings its own.
pub const EXAMPLES: [(&str, &str); 6] = [
    (
        "run",
        "\
Examples:
  # As the Deployment runs it
  upgrade-gate run
  # From outside of the cluster, without a write to its ClusterVersion
  upgrade-gate run --context prod --mode observe",
    ),
    (
        "check",
        "\
Examples:
  # The cluster of the current context
  upgrade-gate check
  # One update, for a script: exit code 1 if it is blocked
  upgrade-gate check --to 4.21.2 -o json
  # An image, or a version with its digest
  upgrade-gate check --to mirror.example.com/ocp/release@sha256:1111111111111111111111111111111111111111111111111111111111111111
  # Every update that the cluster offers, not only the newest of each minor
  upgrade-gate check --all
  # A must-gather, or what oc prints
  upgrade-gate check --from must-gather.local.123
  oc get clusterversion version -o yaml | upgrade-gate check --from -",
    ),
    (
        "history",
        "\
Examples:
  # The updates of this cluster that went ahead with an accepted risk
  upgrade-gate history
  # For a ticket, from a must-gather
  upgrade-gate history --from must-gather.local.123 -o markdown",
    ),
    (
        "cleanup",
        "\
Examples:
  # What would be removed, and what stays
  upgrade-gate cleanup
  # Remove it, after the Deployment is deleted
  upgrade-gate cleanup --yes",
    ),
    (
        "crd",
        "\
Examples:
  # Install the CRD of UpdateRecord
  upgrade-gate crd | oc apply --server-side -f -",
    ),
    (
        "completion",
        "\
Examples:
  # bash: in this shell, or in every new one
  source <(upgrade-gate completion bash)
  upgrade-gate completion bash > ~/.local/share/bash-completion/completions/upgrade-gate
  # zsh, with a folder that is in fpath
  upgrade-gate completion zsh > ~/.zsh/completions/_upgrade-gate
  # fish
  upgrade-gate completion fish > ~/.config/fish/completions/upgrade-gate.fish
  # PowerShell
  upgrade-gate completion powershell | Out-String | Invoke-Expression
  # elvish
  eval (upgrade-gate completion elvish | slurp)",
    ),
];
