//! Wasm modules taken apart into sections and put together again, to damage one at a time.

/// One section of a module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// The section's id; 0 is a custom section.
    pub id: u8,
    /// The name of a custom section, empty for others.
    pub name: String,
    /// Everything after the length and the name.
    pub content: Vec<u8>,
}

fn leb128(bytes: &[u8], at: &mut usize) -> usize {
    let (mut value, mut shift) = (0, 0);
    loop {
        let byte = bytes[*at];
        *at += 1;
        value |= usize::from(byte & 0x7f) << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            return value;
        }
    }
}

fn push_leb128(out: &mut Vec<u8>, mut value: usize) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Splits a module that is known to be well-formed.
///
/// # Panics
///
/// Panics if it is not.
pub fn sections(module: &[u8]) -> Vec<Section> {
    assert_eq!(&module[..8], b"\0asm\x01\0\0\0", "not a wasm module");
    let mut at = 8;
    let mut sections = Vec::new();
    while at < module.len() {
        let id = module[at];
        at += 1;
        let size = leb128(module, &mut at);
        let end = at + size;
        let mut name = String::new();
        if id == 0 {
            let length = leb128(module, &mut at);
            name = String::from_utf8(module[at..at + length].to_vec()).expect("section names are UTF-8");
            at += length;
        }
        sections.push(Section { id, name, content: module[at..end].to_vec() });
        at = end;
    }
    sections
}

/// Puts a module together.
pub fn module(sections: &[Section]) -> Vec<u8> {
    let mut out = b"\0asm\x01\0\0\0".to_vec();
    for Section { id, name, content } in sections {
        let mut body = Vec::new();
        if *id == 0 {
            push_leb128(&mut body, name.len());
            body.extend_from_slice(name.as_bytes());
        }
        body.extend_from_slice(content);
        out.push(*id);
        push_leb128(&mut out, body.len());
        out.append(&mut body);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_survives_being_taken_apart() {
        let bytes = std::fs::read(crate::programs().join("records/records.wasm")).unwrap();
        let parts = sections(&bytes);
        assert!(parts.iter().any(|it| it.name == ".debug_info"));
        assert_eq!(sections(&module(&parts)), parts);
    }
}
