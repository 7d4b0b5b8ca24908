//! The arguments of `update`. Those that `oc adm upgrade` has as well mean the same here.

use std::time::Duration;

use clap::builder::NonEmptyStringValueParser;

use crate::client::ClusterArgs;

const EXAMPLES: &str = "\
Examples:
  # Update to a version that the cluster offers
  upgrade-gate update --to 4.21.2

  # Update a cluster that has no update graph, from a mirror
  upgrade-gate update --to 4.21.2 --to-image mirror.example.com/ocp/release@sha256:… --allow-explicit-upgrade

  # Show what would be written, and write nothing
  upgrade-gate update --to 4.21.2 --dry-run

  # In a script
  upgrade-gate update --to 4.21.2 --yes --wait --timeout 3h

Exit code 0: done. 1: the answer is no, or the update did not complete. 2: no answer, interrupted, or wrong usage.
After an interruption, the same command continues where it stopped.";

/// Requests an update as oc adm upgrade does, and lets a patch update through that is refused only because of overrides.
///
/// Nothing has to be deployed. It shows the verdict of check and what it is going to write, and asks. If the
/// cluster-version operator refuses a patch update only because of overrides, it sets force, and removes it after the
/// update. A minor or major update that a risk blocks is not requested.
#[derive(Clone, Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag")]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Version to update to, one that the cluster offers. VERSION@sha256:… names its digest as well
    #[arg(long, value_name = "VERSION[@sha256:…]", required_unless_present = "to_image", value_parser = NonEmptyStringValueParser::new())]
    pub to: Option<String>,
    /// Release image to update to, by digest. Together with --to: the image of that version
    #[arg(long, value_name = "IMAGE", value_parser = NonEmptyStringValueParser::new())]
    pub to_image: Option<String>,
    /// Update to an image that the cluster does not offer
    #[arg(long)]
    pub allow_explicit_upgrade: bool,
    /// Update although a conditional update is not recommended for this cluster
    #[arg(long)]
    pub allow_not_recommended: bool,
    /// Update although the cluster is updating, failing, or has an invalid ClusterVersion
    #[arg(long)]
    pub allow_upgrade_with_warnings: bool,
    /// Do not create the admission policy, which denies other updates while the force is set
    #[arg(long)]
    pub without_policy: bool,
    /// Write without asking
    #[arg(short, long)]
    pub yes: bool,
    /// Show what would be written, and write nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Wait until the update has completed, and remove the force. On by default if the output is a terminal
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub wait: Option<bool>,
    /// How long to wait in all, such as 90s, 30m or 3h; by default as long as it takes
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub timeout: Option<Duration>,
    /// How long to try again while the API server does not answer
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "15m")]
    pub retry_for: Duration,
    /// Where the cluster is, and as whom.
    #[command(flatten)]
    pub cluster: ClusterArgs,
    /// How this program was called, such as `oc upgrade-gate`.
    #[arg(skip = "upgrade-gate")]
    pub program: String,
}

fn duration(text: &str) -> Result<Duration, String> {
    let expected = || "expected a number with a unit, such as 90s, 30m or 3h".to_owned();
    let (digits, seconds) = match text.char_indices().last() {
        Some((at, 's')) => (&text[..at], 1),
        Some((at, 'm')) => (&text[..at], 60),
        Some((at, 'h')) => (&text[..at], 3600),
        _ => return Err(expected()),
    };
    let number: u64 = digits.parse().map_err(|_| expected())?;
    number.checked_mul(seconds).map(Duration::from_secs).ok_or_else(expected)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("90s", Some(90))]
    #[case("30m", Some(1800))]
    #[case("3h", Some(10800))]
    #[case("0s", Some(0))]
    #[case("3", None)]
    #[case("h", None)]
    #[case("", None)]
    #[case("-1s", None)]
    #[case("1.5h", None)]
    #[case("18446744073709551615h", None)]
    #[case("1ä", None)]
    fn durations(#[case] text: &str, #[case] seconds: Option<u64>) {
        assert_eq!(duration(text).ok(), seconds.map(Duration::from_secs));
    }
}
