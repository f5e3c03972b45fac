//! Rust's memory in a backend.
//!
//! Rust aborts a process that gets no memory, and then PostgreSQL restarts all sessions. So the library has an
//! allocator of its own, which never fails: it ends its session instead. That is as sound as to abort, because
//! nothing returns; to raise an ERROR would jump over whoever asks for memory in the middle of a change.
//!
//! It is the last resort. What reads rows calls [`check`] for each, which raises an ordinary error before memory
//! runs out.

#![cfg_attr(test, allow(dead_code))]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::{Cell, UnsafeCell};
use std::ffi::{c_char, c_int, c_void};
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

use pgrx::pg_sys;
use pgrx::prelude::*;

use crate::pg::error;

// The unit tests have no PostgreSQL.
#[cfg(not(test))]
#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

struct Allocator;

// A backend has one thread; so these are read and written, which costs less than to add. Should there be
// another one, they are wrong and nothing else.
/// How many bytes are in use.
static IN_USE: AtomicUsize = AtomicUsize::new(0);
/// The most that were in use since memory was given back.
static MOST: AtomicUsize = AtomicUsize::new(0);
/// How many were in use when there was room for more.
static CHECKED: AtomicUsize = AtomicUsize::new(0);

fn grow(by: usize) {
    let in_use = IN_USE.load(Relaxed).wrapping_add(by);
    IN_USE.store(in_use, Relaxed);
    if in_use > MOST.load(Relaxed) {
        MOST.store(in_use, Relaxed);
    }
}

fn shrink(by: usize) {
    IN_USE.store(IN_USE.load(Relaxed).wrapping_sub(by), Relaxed);
}

// SAFETY: the system's allocator, and where that fails a reserve, or no return.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller promises.
        let piece = unsafe { System.alloc(layout) };
        if piece.is_null() {
            return RESERVE.take(layout);
        }
        grow(layout.size());
        piece
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller promises; a piece of the reserve has this size.
        unsafe {
            let piece = System.alloc_zeroed(layout);
            if piece.is_null() {
                let piece = RESERVE.take(layout);
                piece.write_bytes(0, layout.size());
                return piece;
            }
            grow(layout.size());
            piece
        }
    }

    unsafe fn dealloc(&self, piece: *mut u8, layout: Layout) {
        if RESERVE.has(piece) {
            return RESERVE.give_back();
        }
        shrink(layout.size());
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(piece, layout) }
    }

    unsafe fn realloc(&self, piece: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as the caller promises; both pieces are as large as what is copied.
        unsafe {
            if !RESERVE.has(piece) {
                let moved = System.realloc(piece, layout, size);
                if !moved.is_null() {
                    shrink(layout.size());
                    grow(size);
                    return moved;
                }
            }
            let moved = self.alloc(Layout::from_size_align_unchecked(size, layout.align()));
            ptr::copy_nonoverlapping(piece, moved, layout.size().min(size));
            self.dealloc(piece, layout);
            moved
        }
    }
}

/// For what is small: what an error says, and what is allocated until somebody can raise it.
struct Reserve {
    memory: UnsafeCell<[u128; RESERVED / ALIGNMENT]>,
    used: AtomicUsize,
    pieces: AtomicUsize,
    /// Since an error was raised last.
    was_needed: AtomicBool,
}

const RESERVED: usize = 64 * 1024;
const ALIGNMENT: usize = align_of::<u128>();

// SAFETY: each byte is given to one caller, until all have been given back.
unsafe impl Sync for Reserve {}

static RESERVE: Reserve = Reserve {
    memory: UnsafeCell::new([0; RESERVED / ALIGNMENT]),
    used: AtomicUsize::new(0),
    pieces: AtomicUsize::new(0),
    was_needed: AtomicBool::new(false),
};

impl Reserve {
    fn take(&self, layout: Layout) -> *mut u8 {
        let size = layout.size().next_multiple_of(ALIGNMENT);
        if layout.align() > ALIGNMENT || size > RESERVED {
            end_session(layout.size());
        }
        self.was_needed.store(true, Relaxed);
        self.pieces.fetch_add(1, Relaxed);
        let start = self.used.fetch_add(size, Relaxed);
        if start.saturating_add(size) > RESERVED {
            end_session(layout.size());
        }
        self.memory.get().cast::<u8>().wrapping_add(start)
    }

    fn has(&self, piece: *mut u8) -> bool {
        let start = self.memory.get() as usize;
        (start..start + RESERVED).contains(&(piece as usize))
    }

    fn give_back(&self) {
        if self.pieces.fetch_sub(1, Relaxed) == 1 {
            self.used.store(0, Relaxed);
        }
    }
}

/// Ends the session with SQLSTATE 53200.
fn end_session(bytes: usize) -> ! {
    // Not pgrx's, which allocate.
    unsafe extern "C" {
        fn errstart(level: c_int, domain: *const c_char) -> bool;
        fn errcode(code: c_int) -> c_int;
        fn errmsg(format: *const c_char, ...) -> c_int;
        fn errdetail(format: *const c_char, ...) -> c_int;
        fn errfinish(file: *const c_char, line: c_int, function: *const c_char);
    }
    // SAFETY: as ereport(FATAL) does it, which never returns and never jumps. PostgreSQL keeps memory for it.
    unsafe {
        if errstart(pg_sys::FATAL as c_int, ptr::null()) {
            errcode(PgSqlErrorCode::ERRCODE_OUT_OF_MEMORY as c_int);
            errmsg(c"out of memory".as_ptr());
            errdetail(
                c"deskguard failed on a request of size %zu.".as_ptr(),
                bytes,
            );
        }
        errfinish(c"memory.rs".as_ptr(), 0, c"end_session".as_ptr());
    }
    std::process::abort()
}

/// Whatever is smaller than this need not be looked for.
const SMALL: usize = 256 * 1024;

/// Raises an error if there is no room to go on growing as until now. Cheap: it looks only after some growth.
pub fn check() {
    let in_use = IN_USE.load(Relaxed);
    let checked = CHECKED.load(Relaxed);
    if in_use < checked {
        CHECKED.store(in_use, Relaxed);
    }
    let is_short = RESERVE.was_needed.load(Relaxed);
    if in_use < checked.saturating_add(checked / 8 + SMALL) && !is_short {
        return;
    }
    // A list or a hash table doubles while the former one is there still, and what is read is then put together.
    let wanted = 2 * in_use + 4 * SMALL;
    if is_short || !is_available(wanted) {
        RESERVE.was_needed.store(false, Relaxed);
        BALLAST.with(Ballast::drop);
        error::raise(
            PgSqlErrorCode::ERRCODE_OUT_OF_MEMORY,
            "out of memory",
            "Ask about fewer agents or tickets at once, or give the server more memory.",
        )
    }
    CHECKED.store(in_use, Relaxed);
}

unsafe extern "C" {
    fn mmap(
        address: *mut c_void,
        length: usize,
        protection: c_int,
        flags: c_int,
        file: c_int,
        offset: i64,
    ) -> *mut c_void;
    fn munmap(address: *mut c_void, length: usize) -> c_int;
    #[cfg(target_env = "gnu")]
    fn malloc_trim(pad: usize) -> c_int;
}

/// New memory from the system, null if there is none. Not by malloc(), which would keep more for itself from then on.
fn map(bytes: usize) -> *mut c_void {
    const READ_AND_WRITE: c_int = 1 | 2;
    const PRIVATE_AND_ANONYMOUS: c_int = 0x2 | 0x20;
    const FAILED: *mut c_void = usize::MAX as *mut c_void;
    let (nowhere, nothing) = (ptr::null_mut(), -1);
    let (protection, flags) = (READ_AND_WRITE, PRIVATE_AND_ANONYMOUS);
    // SAFETY: where nothing is yet.
    match unsafe { mmap(nowhere, bytes, protection, flags, nothing, 0) } {
        FAILED => ptr::null_mut(),
        memory => memory,
    }
}

/// Gives back what [`map`] gave.
fn unmap(memory: *mut c_void, bytes: usize) {
    if !memory.is_null() {
        // SAFETY: nobody has it.
        unsafe { munmap(memory, bytes) };
    }
}

/// Would the system give so many bytes?
fn is_available(bytes: usize) -> bool {
    let memory = map(bytes);
    unmap(memory, bytes);
    !memory.is_null()
}

// PostgreSQL's memory

/// While a frame holds it, an error for want of memory finds some. pgrx copies each error that it catches, and if
/// there is no memory for the copy, it catches that error in the same place, and so on until PostgreSQL panics.
pub type Watch = pg_sys::ErrorContextCallback;

/// # Safety
/// The frame calls [`unwatch`] at its end, if an error does not jump over it.
pub unsafe fn watch(watch: &mut Watch) {
    // SAFETY: as PostgreSQL itself does it. Whoever catches an error takes off what lies above.
    unsafe {
        watch.previous = pg_sys::error_context_stack;
        watch.callback = Some(error_raised);
        pg_sys::error_context_stack = watch;
    }
}

/// # Safety
/// The frame has begun with [`watch`].
pub unsafe fn unwatch(watch: &Watch) {
    // SAFETY: as the caller promises.
    unsafe { pg_sys::error_context_stack = watch.previous };
}

extern "C-unwind" fn error_raised(_: *mut c_void) {
    unsafe extern "C" {
        fn geterrcode() -> c_int;
    }
    // SAFETY: an error is being raised.
    if unsafe { geterrcode() } == PgSqlErrorCode::ERRCODE_OUT_OF_MEMORY as c_int {
        BALLAST.with(Ballast::drop);
    }
}

/// Memory that is given up when there is no other: it takes room, but no memory until then.
struct Ballast(Cell<*mut c_void>);

thread_local! {
    static BALLAST: Ballast = const { Ballast(Cell::new(ptr::null_mut())) };
}

impl Ballast {
    /// A memory context may want a block of 1 MB, however little is asked for.
    const BYTES: usize = 2 * 1024 * 1024;

    fn take(&self) {
        if self.0.get().is_null() {
            self.0.set(map(Ballast::BYTES));
        }
    }

    fn drop(&self) {
        unmap(self.0.replace(ptr::null_mut()), Ballast::BYTES);
    }
}

/// Takes what is kept for errors, if it was used.
pub fn prepare() {
    BALLAST.with(Ballast::take);
}

/// Gives back to the system what is not in use any more, if it is much.
pub fn give_back() {
    prepare();
    const MUCH: usize = 8 * 1024 * 1024;
    let in_use = IN_USE.load(Relaxed);
    if MOST.load(Relaxed).saturating_sub(in_use) > MUCH {
        MOST.store(in_use, Relaxed);
        #[cfg(target_env = "gnu")]
        // SAFETY: takes a number.
        unsafe {
            malloc_trim(0)
        };
    }
}
