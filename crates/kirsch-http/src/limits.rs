//! How much of anything a request may have before it is refused.

/// The sizes a request is held to; each answers with its own status.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Request line and fields together, empty lines in front included (431).
    /// 32 KiB. Precedents: tomcat 8 KiB, IIS and h11 16 KiB, node 16 KiB, nginx 32 KiB.
    pub head_bytes: u32,
    /// Field lines of one head (431).
    /// 100, as in gunicorn, hyper and Apache: browsers send about 20, proxies add a few.
    pub fields: u32,
    /// The request target (414).
    /// 16 KiB: RFC 9112 section 3 asks for at least 8000 bytes, long search links need more.
    pub target_bytes: u32,
    /// All chunk extensions of one request together (413).
    /// 16 KiB, as in hyper and Node: nobody uses extensions, attackers do (CVE-2023-39326).
    pub chunk_extension_bytes: u32,
    /// The trailer section behind a chunked body (431).
    /// 8 KiB: trailers are checked and dropped, a checksum or two is all that is ever sent.
    pub trailer_bytes: u32,
    /// The decoded body (413).
    /// 1 GiB: an upload of a film passes, an endless body does not.
    pub body_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            head_bytes: 32 * 1024,
            fields: 100,
            target_bytes: 16 * 1024,
            chunk_extension_bytes: 16 * 1024,
            trailer_bytes: 8 * 1024,
            body_bytes: 1024 * 1024 * 1024,
        }
    }
}
