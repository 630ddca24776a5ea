//! Invariant 1 of the crate: a length from the wire never sizes an allocation.

#[path = "ul/common.rs"]
#[allow(dead_code, reason = "made for other tests")]
mod common;

use common::*;
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};
use vna_ul::Association;

/// Remembers the largest single allocation.
struct Watching;

static LARGEST: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes to the system allocator unchanged.
unsafe impl GlobalAlloc for Watching {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LARGEST.fetch_max(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promises are those of `System`.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: `ptr` came from `System` with this layout.
        unsafe { System.dealloc(ptr, layout) }
    }
    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        LARGEST.fetch_max(size, Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.realloc(ptr, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Watching = Watching;

/// One test, so that no other one allocates meanwhile.
#[test]
fn no_claimed_length_is_allocated() {
    const SMALL: usize = 4096;
    let mut request_pdu = Vec::new();
    request(0).write(&mut request_pdu).unwrap();

    // The longest A-ASSOCIATE-RQ allowed is announced, a few bytes of it come.
    let mut announced = vec![1, 0, 0, 8, 0, 0];
    announced.extend_from_slice(&request_pdu[6..60]);
    let mut acceptor = Association::acceptor(1 << 20);
    LARGEST.store(0, Ordering::Relaxed);
    assert_eq!(feed(&mut acceptor, &announced, announced.len()), []);
    assert!(LARGEST.load(Ordering::Relaxed) < SMALL);

    let claims: [&[u8]; 6] = [
        // P-DATA-TF of 1 MiB with one PDV that fills it.
        &[4, 0, 0, 0x10, 0, 0, 0, 0x0F, 0xFF, 0xFC, 3, 0],
        // P-DATA-TF and PDV of 4 GiB.
        &[4, 0, 0xFF, 0xFF, 0xFF, 0xFF],
        &[4, 0, 0, 0x10, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF, 3, 0],
        // A command element of 4 GiB.
        &[
            4, 0, 0, 0, 0, 14, 0, 0, 0, 10, 1, 3, 0, 0, 2, 0, 0xFF, 0xFF, 0xFF, 0xFF,
        ],
        // A-ASSOCIATE-RQ and A-RELEASE-RQ of 4 GiB.
        &[1, 0, 0xFF, 0xFF, 0xFF, 0xFF],
        &[5, 0, 0xFF, 0xFF, 0xFF, 0xFF],
    ];
    for claim in claims {
        let (_, mut acceptor) = pair(0, 1 << 20, 4096);
        LARGEST.store(0, Ordering::Relaxed);
        feed(&mut acceptor, claim, claim.len());
        assert!(LARGEST.load(Ordering::Relaxed) < SMALL, "{claim:02X?}");
    }

    // A user information item of 64 KiB that is not there.
    let mut acceptor = Association::acceptor(4096);
    let at = request_pdu.windows(2).position(|w| w == [0x50, 0]).unwrap();
    request_pdu[at + 2..at + 4].copy_from_slice(&[0xFF, 0xFF]);
    LARGEST.store(0, Ordering::Relaxed);
    feed(&mut acceptor, &request_pdu, request_pdu.len());
    assert!(LARGEST.load(Ordering::Relaxed) < SMALL);
}
