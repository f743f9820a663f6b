//! What the text of a Rust program says of its variables.

/// Is `name` bound in this line, and nowhere in it so that it can be assigned?
pub(super) fn is_immutable(line: &[u8], name: &[u8]) -> bool {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 128;
    let name = name.strip_prefix(b"r#").unwrap_or(name);
    let mut is_bound = false;
    for at in memchr::memmem::find_iter(line, name) {
        let (before, behind) = (&line[..at], &line[at + name.len()..]);
        let is_whole =
            !before.last().is_some_and(|byte| is_word(*byte)) && !behind.first().is_some_and(|byte| is_word(*byte));
        if !is_whole {
            continue;
        }
        let before = before.trim_ascii_end();
        if let Some(before) = before.strip_suffix(b"mut").filter(|rest| !rest.last().is_some_and(|byte| is_word(*byte)))
        {
            // `&mut x` and `&'a mut self` bind what cannot be assigned, and so does `ref mut x`.
            let before = before.trim_ascii_end();
            let word = before.iter().rposition(|byte| !is_word(*byte)).map_or(0, |at| at + 1);
            let (rest, word) = before.split_at(word);
            if !(before.ends_with(b"&") || word == b"ref" || rest.ends_with(b"'")) {
                return false;
            }
        }
        is_bound = true;
    }
    is_bound
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_bound_as_mut_can_be_assigned() {
        let is_immutable = |line: &str| is_immutable(line.as_bytes(), b"x");
        for line in
            ["let x = 1;", "for (i, x) in a {", "fn f(&self, x: u8)", "Some(ref mut x) => ", "|&mut x| x", "let (a, x)"]
        {
            assert!(is_immutable(line), "{line}");
        }
        for line in
            ["let mut x = 1;", "fn f(mut x: u8)", "let (mut a, mut x) = p;", "let y = 1;", "let xs = 1;", "let mut  x;"]
        {
            assert!(!is_immutable(line), "{line}");
        }
        assert!(super::is_immutable(b"fn f(&'a mut self)", b"self"));
        assert!(super::is_immutable(b"fn f(&mut self)", b"self"));
        assert!(!super::is_immutable(b"fn f(mut self)", b"self"));
    }
}
