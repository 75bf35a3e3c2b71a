//! A `.env` file in the working directory may hold the very key that the run keeps from its child.

use std::path::Path;

use crate::launch::environment::finders;
use crate::limits::DOTENV_BYTES;
use crate::paths::read_limited;
use crate::secret::Secret;

/// The numbers of the lines of `path` that hold one of `secrets`. A file that cannot be read has none.
pub(super) fn lines_with_secrets(path: &Path, secrets: &[Secret]) -> Vec<usize> {
    let Ok(contents) = read_limited(path, DOTENV_BYTES) else { return Vec::new() };
    let finders = finders(secrets);
    let lines = contents.split(|byte| *byte == b'\n').enumerate();
    let holding = lines.filter(|(_, line)| finders.iter().any(|finder| finder.find(line).is_some()));
    holding.map(|(index, _)| index + 1).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn lines_are_numbered_and_never_quoted() {
        let dir = crate::paths::test_only_scratch("dotenv");
        let path = dir.join(".env");
        fs::write(&path, "# keys\nA=1\nKEY=\"secret-value\"\r\n\nexport K2=secret-value # again\n").expect("writes");
        let secrets = [Secret::new("secret-value".to_owned())];
        assert_eq!(lines_with_secrets(&path, &secrets), [3, 5]);
        assert!(lines_with_secrets(&path, &[]).is_empty());
        assert!(lines_with_secrets(&dir.join("missing"), &secrets).is_empty());
        fs::remove_dir_all(dir).expect("cleans up");
    }
}
