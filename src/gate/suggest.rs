//! Suggests the version or image that a person probably meant, if this cluster does not know the one that was named.
//!
//! It only suggests what the cluster knows. It recognises a `v` in front, an appended architecture, a minor without its
//! patch, several versions in one argument, and a digest that was cut off.

use semver::Version;

use crate::{
    api::ClusterVersion,
    gate::{
        Target,
        release::{digest, known_releases, updates},
    },
};

/// At most this many suggestions.
const MOST: usize = 5;
/// A digest can be completed from this many hexadecimal digits on.
const SHORT_DIGEST: usize = 6;
/// Architectures, as tags and file names of releases append them to the version.
const ARCHITECTURES: [&str; 8] = ["x86_64", "amd64", "aarch64", "arm64", "ppc64le", "s390x", "multi", "x86-64"];
/// Words for the newest version.
const NEWEST: [&str; 3] = ["latest", "newest", "to-latest"];

/// The known versions that a text was probably meant to name, best first; usually one, often none.
#[must_use]
pub fn versions<'a>(cluster_version: &'a ClusterVersion, text: &str) -> Vec<&'a str> {
    let known = Known::of(cluster_version);
    let separates = |character: char| character.is_whitespace() || matches!(character, ',' | ';' | '|' | '=');
    let mut meant: Vec<&str> = Vec::new();
    let mut add = |found: Vec<&'a str>| {
        for version in found {
            if !meant.contains(&version) && meant.len() < MOST {
                meant.push(version);
            }
        }
    };
    text.split(separates).filter(|part| !part.is_empty()).for_each(|part| add(known.suggestions_for(part)));
    if meant.is_empty() {
        // `4,21,2`, `4 21 2`, `4_21_2`.
        let dotted: String =
            text.trim().chars().map(|c| if separates(c) || matches!(c, '_' | '-') { '.' } else { c }).collect();
        meant = known.suggestions_for(&dotted);
    }
    meant
}

/// The listed update that a well-formed version was meant to name: the same without build metadata or an appended
/// architecture, which the cluster's lists do not have.
#[must_use]
pub fn misspelt<'a>(cluster_version: &'a ClusterVersion, version: &str) -> Option<&'a str> {
    if Version::parse(version).is_err() || known_releases(cluster_version).any(|(known, _)| known == version) {
        return None;
    }
    let plain = without_architecture(version.split('+').next()?);
    updates(cluster_version).map(|release| release.version.as_str()).find(|known| without_build(known) == plain)
}

/// The image whose digest was cut off, with its version if that is known.
#[must_use]
pub fn image<'a>(cluster_version: &'a ClusterVersion, image: &str) -> Option<(&'a str, &'a str)> {
    let cut_off = digest(image.trim())?;
    let (_, digits) = cut_off.split_once(':')?;
    if digits.len() < SHORT_DIGEST {
        return None;
    }
    let mut found = known_releases(cluster_version)
        .filter_map(|(version, image)| Some((version, image, digest(image)?)))
        .filter(|(_, _, known)| known.starts_with(&cut_off));
    let (version, image, first) = found.next()?;
    found.all(|(_, _, other)| other == first).then_some((version, image))
}

/// The release that `VERSION@sha256:…` names: the version, and the image of that digest. If the cluster does not know the
/// digest, the repository is not known either, and the image is `@sha256:…`. `None` for anything else, an image without a
/// `/` included.
#[must_use]
pub fn pair(cluster_version: &ClusterVersion, argument: &str) -> Option<Target> {
    let (version, digest_of) = argument.trim().split_once('@')?;
    let is_version = version.trim_start_matches(['v', 'V']).starts_with(|first: char| first.is_ascii_digit());
    if !is_version || argument.contains('/') || version.contains(':') {
        return None;
    }
    let wanted = digest(argument.trim());
    let requested = cluster_version.spec.desired_update.as_ref().map(|request| request.image.as_str());
    let known = known_releases(cluster_version)
        .map(|(_, image)| image)
        .chain(requested)
        .find(|image| wanted.is_some() && digest(image) == wanted)
        .map(ToOwned::to_owned);
    let image = known.unwrap_or_else(|| format!("@{digest_of}"));
    Some(Target { version: version.to_owned(), image, ..Target::named("") })
}

/// The versions that a cluster knows.
struct Known<'a> {
    /// All of them, updates first.
    all: Vec<&'a str>,
    /// Those of the available and conditional updates, newest first.
    updates: Vec<(Version, &'a str)>,
    /// The newest available update.
    newest: Option<&'a str>,
    cluster_version: &'a ClusterVersion,
}

impl<'a> Known<'a> {
    fn of(cluster_version: &'a ClusterVersion) -> Self {
        let parsed = |version: &'a str| Some((Version::parse(version).ok()?, version));
        let versions = |releases: &'a [crate::api::Release]| releases.iter().map(|release| release.version.as_str());
        let available = cluster_version.status.as_ref().map_or(&[][..], |status| &status.available_updates);
        let mut listed: Vec<_> =
            updates(cluster_version).filter_map(|release| parsed(release.version.as_str())).collect();
        listed.sort_by(|a, b| b.0.cmp_precedence(&a.0));
        let all = known_releases(cluster_version).map(|(version, _)| version);
        Self {
            all: all.filter(|version| Version::parse(version).is_ok()).collect(),
            newest: versions(available).filter_map(parsed).max_by(|a, b| a.0.cmp_precedence(&b.0)).map(|found| found.1),
            updates: listed,
            cluster_version,
        }
    }

    fn suggestions_for(&self, part: &str) -> Vec<&'a str> {
        if NEWEST.iter().any(|word| part.trim_start_matches('-').eq_ignore_ascii_case(word)) {
            return self.newest.into_iter().collect();
        }
        if let Some(version) = self.of_digest(part) {
            return vec![version];
        }
        let written = starts(part).find_map(|text| {
            let found = self.written(text);
            (!found.is_empty()).then_some(found)
        });
        written.unwrap_or_else(|| self.mistyped(part))
    }

    /// The version of a digest without an image name.
    fn of_digest(&self, part: &str) -> Option<&'a str> {
        let (_, digits) = part.split_once("sha256:")?;
        let (version, _) = image(self.cluster_version, &format!("image@sha256:{digits}"))?;
        Some(version).filter(|version| !version.is_empty())
    }

    /// The versions that a text which starts with a digit names.
    fn written(&self, text: &str) -> Vec<&'a str> {
        let plain = without_architecture(text.trim_end_matches(|c: char| c.is_ascii_punctuation() && c != '*'));
        let plain = plain.split('+').next().unwrap_or_default();
        if let Some(known) = self.all.iter().find(|known| **known == plain || without_build(known) == plain) {
            return vec![known];
        }
        let mut numbers = plain.split('.');
        let (Some(Ok(major)), Some(Ok(minor))) =
            (numbers.next().map(str::parse::<u64>), numbers.next().map(str::parse::<u64>))
        else {
            return Vec::new();
        };
        let rest: Vec<&str> = numbers.collect();
        match rest.as_slice() {
            // `4.21`, `4.21.z`
            [] | ["" | "x" | "X" | "y" | "Y" | "z" | "Z" | "*"] => {
                let of_minor = |version: &Version| (version.major, version.minor) == (major, minor);
                let found = self.updates.iter().filter(|(version, _)| of_minor(version));
                found.map(|(_, text)| *text).take(MOST).collect()
            }
            // `4.021.02`
            [patch] => {
                let Ok(patch) = patch.parse() else { return Vec::new() };
                let wanted = Version::new(major, minor, patch);
                let is_wanted =
                    |known: &&&str| Version::parse(known).is_ok_and(|known| known.cmp_precedence(&wanted).is_eq());
                self.all.iter().find(is_wanted).map(|known| vec![*known]).unwrap_or_default()
            }
            _ => Vec::new(),
        }
    }

    /// Versions that differ from a text in one character.
    fn mistyped(&self, part: &str) -> Vec<&'a str> {
        let mut found: Vec<&str> = Vec::new();
        for known in &self.all {
            if !found.contains(known) && is_one_edit_away(part, known) {
                found.push(known);
            }
        }
        found
    }
}

/// Where a version may begin in a text: at a digit at the start, after a `v`, or after a character that is neither letter nor
/// digit.
fn starts(text: &str) -> impl Iterator<Item = &str> {
    text.char_indices().filter(|(_, character)| character.is_ascii_digit()).filter_map(|(at, _)| {
        let before = &text[..at];
        let before = before.strip_suffix(['v', 'V']).unwrap_or(before);
        let is_inside = before.ends_with(|c: char| c.is_alphanumeric() || c == '.');
        (!is_inside).then(|| &text[at..])
    })
}

fn without_architecture(version: &str) -> &str {
    let suffix = ARCHITECTURES.iter().find_map(|name| version.strip_suffix(name)?.strip_suffix(['-', '_', '.']));
    suffix.unwrap_or(version)
}

fn without_build(version: &str) -> &str {
    version.split('+').next().unwrap_or(version)
}

/// Whether inserting, deleting or replacing one character turns one text into the other.
fn is_one_edit_away(a: &str, b: &str) -> bool {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let (short, long) = if a.len() <= b.len() { (a, b) } else { (b, a) };
    if short.is_empty() || long.len() - short.len() > 1 || short == long {
        return false;
    }
    let same = short.iter().zip(&long).take_while(|(a, b)| a == b).count();
    let skip = usize::from(short.len() == long.len());
    short[(same + skip).min(short.len())..] == long[same + 1..]
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;
    use crate::gate::testing::cluster_version_from;

    const SECOND: &str =
        "quay.example/ocp/release@sha256:2222222222222222222222222222222222222222222222222222222222222222";

    fn cluster() -> ClusterVersion {
        cluster_version_from(json!({"status": {
            "desired": {"version": "4.21.1", "image": "quay.example/ocp/release@sha256:11111111aa"},
            "availableUpdates": [
                {"version": "4.21.2", "image": SECOND},
                {"version": "4.21.10", "image": "quay.example/ocp/release@sha256:33333333aa"},
                {"version": "4.22.0", "image": "quay.example/ocp/release@sha256:33333333bb"},
            ],
            "conditionalUpdates": [{"release": {"version": "4.22.1-rc.1", "image": "quay.example/ocp/release@sha256:55555555"}}],
            "history": [
                {"state": "Completed", "version": "4.21.1", "image": "i"},
                {"state": "Completed", "version": "4.20.9", "image": "i"},
            ],
        }}))
    }

    #[rstest]
    #[case::v("v4.21.2", &["4.21.2"])]
    #[case::capital_v("V4.21.2", &["4.21.2"])]
    #[case::architecture("4.21.2-x86_64", &["4.21.2"])]
    #[case::architecture_of_a_prerelease("4.22.1-rc.1-x86_64", &["4.22.1-rc.1"])]
    #[case::another_architecture("v4.21.2-aarch64", &["4.21.2"])]
    #[case::underscore("4.21.2_amd64", &["4.21.2"])]
    #[case::a_tag("ocp-release:4.21.2-x86_64", &["4.21.2"])]
    #[case::a_name("openshift-v4.21.2", &["4.21.2"])]
    #[case::in_front_of_a_blank("4.21.2 ", &["4.21.2"])]
    #[case::behind_a_line_break("\n4.21.2", &["4.21.2"])]
    #[case::in_quotes("\"4.21.2\"", &["4.21.2"])]
    #[case::end_of_a_sentence("4.21.2.", &["4.21.2"])]
    #[case::an_option("--to=4.21.2", &["4.21.2"])]
    #[case::build("v4.21.2+x", &["4.21.2"])]
    #[case::list("4.21.2,4.22.0", &["4.21.2", "4.22.0"])]
    #[case::list_with_blanks("4.21.2, v4.22.0", &["4.21.2", "4.22.0"])]
    #[case::list_of_one_and_nonsense("4.21.2 please", &["4.21.2"])]
    #[case::minor("4.21", &["4.21.10", "4.21.2"])]
    #[case::minor_with_a_dot("4.21.", &["4.21.10", "4.21.2"])]
    #[case::stream("4.21.z", &["4.21.10", "4.21.2"])]
    #[case::any_patch("4.22.*", &["4.22.1-rc.1", "4.22.0"])]
    #[case::channel("stable-4.22", &["4.22.1-rc.1", "4.22.0"])]
    #[case::current("v4.21.1", &["4.21.1"])]
    #[case::past("v4.20.9", &["4.20.9"])]
    #[case::latest("latest", &["4.22.0"])]
    #[case::latest_in_capitals("Latest", &["4.22.0"])]
    #[case::zeros("4.021.02", &["4.21.2"])]
    #[case::commas("4,21,2", &["4.21.2"])]
    #[case::underscores("4_21_2", &["4.21.2"])]
    #[case::letter_for_a_digit("4.2l.2", &["4.21.2"])]
    #[case::dot_left_out("421.2", &["4.21.2"])]
    #[case::dot_twice("4.21..2", &["4.21.2"])]
    #[case::digest("sha256:22222222", &["4.21.2"])]
    #[case::nonsense("nonsense", &[])]
    #[case::another_minor("4.23", &[])]
    #[case::another_minor_of_the_past("4.20", &[])]
    #[case::major("4", &[])]
    #[case::another_version("v4.21.7", &[])]
    #[case::inside_a_number("14.21.2x", &[])]
    #[case::a_longer_patch("4.21.2345.6", &[])]
    #[case::huge("v99999999999999999999.1.1", &[])]
    #[case::two_images("sha256:33333333", &[])]
    #[case::blank(" ", &[])]
    #[case::nothing("", &[])]
    fn what_a_version_was_meant_to_be(#[case] text: &str, #[case] expected: &[&str]) {
        assert_eq!(versions(&cluster(), text), expected);
    }

    #[rstest]
    #[case::build("4.21.2+x", Some("4.21.2"))]
    #[case::architecture("4.21.2-amd64", Some("4.21.2"))]
    #[case::not_well_formed("v4.21.2", None)]
    #[case::not_well_formed_behind("4.21.2-x86_64", None)]
    #[case::known("4.21.2", None)]
    #[case::prerelease("4.21.2-rc.1", None)]
    #[case::not_an_update("4.21.1+x", None)]
    #[case::another("4.21.3", None)]
    fn what_a_well_formed_version_was_meant_to_be(#[case] version: &str, #[case] expected: Option<&str>) {
        assert_eq!(misspelt(&cluster(), version), expected);
    }

    #[rstest]
    #[case::known("4.21.2@", SECOND, "4.21.2", SECOND)]
    #[case::known_as_another("4.21.9@", SECOND, "4.21.9", SECOND)]
    #[case::requested("4.21.9@", "sha256:99", "4.21.9", "mirror:5000/ocp@sha256:99")]
    #[case::unknown("4.21.9@", "sha256:abc", "4.21.9", "@sha256:abc")]
    #[case::no_version("v4.21.2@", "sha256:abc", "v4.21.2", "@sha256:abc")]
    fn a_version_and_a_digest(
        #[case] version: &str,
        #[case] digest: &str,
        #[case] expected: &str,
        #[case] image: &str,
    ) {
        let mut cluster = cluster();
        cluster.spec.desired_update = serde_json::from_value(json!({"image": "mirror:5000/ocp@sha256:99"})).unwrap();
        let digest = digest.rsplit_once('@').map_or(digest, |(_, digest)| digest);
        let target = pair(&cluster, &format!("{version}{digest}")).unwrap();
        assert_eq!((target.version.as_str(), target.image.as_str()), (expected, image));
    }

    #[rstest]
    #[case::an_image("mirror.lan/ocp@sha256:abc")]
    #[case::an_image_without_a_repository("r@sha256:abc")]
    #[case::an_image_with_a_port("4.example:5000@sha256:abc")]
    #[case::a_version("4.21.2")]
    #[case::a_digest("@sha256:abc")]
    fn no_version_and_digest(#[case] argument: &str) {
        assert_eq!(pair(&cluster(), argument), None);
    }

    #[rstest]
    #[case::cut_off("mirror/x@sha256:222222", Some(("4.21.2", SECOND)))]
    #[case::with_a_blank("mirror/x@sha256:222222 ", Some(("4.21.2", SECOND)))]
    #[case::too_short("mirror/x@sha256:22222", None)]
    #[case::of_two("mirror/x@sha256:33333333", None)]
    #[case::unknown("mirror/x@sha256:abcdef", None)]
    #[case::no_digest("mirror/x", None)]
    fn what_an_image_was_meant_to_be(#[case] text: &str, #[case] expected: Option<(&str, &str)>) {
        assert_eq!(image(&cluster(), text), expected);
    }
}
