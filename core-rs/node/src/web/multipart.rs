//! The parts of a multipart/related body (RFC 2387, PS3.18 §8.6.1.2), written as they leave.

use std::fmt::Write as _;

/// What stands between the parts of a body. It comes from who wrote the header of the answer, and must not occur in a part.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Boundary(String);

impl Boundary {
    pub fn new(boundary: String) -> Self {
        Boundary(boundary)
    }

    /// What begins a part: its delimiter and its header. Behind the last one stands [`Boundary::end`].
    pub fn part(&self, content_type: &str, location: &str, length: Option<u64>) -> Vec<u8> {
        let mut head = format!("--{}\r\nContent-Type: {content_type}\r\n", self.0);
        if !location.is_empty() {
            let _ = write!(head, "Content-Location: {location}\r\n"); // writing to a String does not fail
        }
        if let Some(length) = length {
            let _ = write!(head, "Content-Length: {length}\r\n");
        }
        head.push_str("\r\n");
        head.into_bytes()
    }

    /// How long [`Boundary::part`] is without the place and the digits of the length, which are both said.
    pub fn part_bytes(&self, content_type: &str) -> u64 {
        self.part(content_type, "x", Some(0)).len() as u64 - 2
    }

    /// What ends the body.
    pub fn end(&self) -> Vec<u8> {
        format!("--{}--\r\n", self.0).into_bytes()
    }
}

/// What ends a part.
pub(crate) const PART_END: &[u8] = b"\r\n";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_says_what_it_is_where_it_is_from_and_how_long() {
        let boundary = Boundary::new("abc".to_owned());
        let part = boundary.part("image/jls", "http://h/frames/1", Some(12));
        assert_eq!(
            String::from_utf8(part).unwrap(),
            "--abc\r\nContent-Type: image/jls\r\nContent-Location: http://h/frames/1\r\nContent-Length: 12\r\n\r\n"
        );
        let part = boundary.part("application/dicom", "", None);
        assert_eq!(part, b"--abc\r\nContent-Type: application/dicom\r\n\r\n");
        assert_eq!(boundary.end(), b"--abc--\r\n");
        let part = boundary.part("image/jls", "http://h/frames/1", Some(12));
        let said = "http://h/frames/1".len() + "12".len();
        assert_eq!(
            part.len() as u64,
            boundary.part_bytes("image/jls") + said as u64
        );
    }
}
