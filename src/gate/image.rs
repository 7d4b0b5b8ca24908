//! What is wrong with the text of an image reference, whatever the cluster knows about it.

/// What is wrong with the digest of an image; `None` if it is well-formed or there is none.
pub(super) fn digest_problem(image: &str) -> Option<String> {
    let (_, digest) = image.rsplit_once('@')?;
    let (algorithm, digits) = digest.split_once(':').unwrap_or((digest, ""));
    let expected = match algorithm {
        "sha256" => 64,
        "sha384" => 96,
        "sha512" => 128,
        _ => return Some("expected sha256: and 64 hexadecimal digits after the @".to_owned()),
    };
    let count = digits.chars().count();
    if let Some(odd) = digits.chars().find(|digit| !digit.is_ascii_hexdigit()) {
        return Some(format!("expected {expected} hexadecimal digits after {algorithm}:, found {odd:?} among them"));
    }
    if count != expected {
        return Some(format!("expected {expected} hexadecimal digits after {algorithm}:, found {count}"));
    }
    let capital = digits.chars().find(char::is_ascii_uppercase)?;
    Some(format!("expected digits in lower case after {algorithm}:, found {capital:?}"))
}

/// What is wrong with an image's name, with registry and tag; `None` if a registry may have it.
pub(super) fn name_problem(image: &str) -> Option<String> {
    let name = image.rsplit_once('@').map_or(image, |(name, _)| name);
    if name.is_empty() {
        return Some("expected the name of the image before the @".to_owned());
    }
    if let Some((scheme, _)) = name.split_once("://") {
        return Some(format!("expected it without {scheme}://"));
    }
    let odd = name.chars().find(|c| !c.is_ascii_alphanumeric() && !"._-/:[]".contains(*c))?;
    Some(format!("found {odd:?} in its name"))
}
