#ifndef LARDER_CPOSIX_H
#define LARDER_CPOSIX_H
// What Swift cannot import from the system's headers: variadic calls, macros with casts, GNU extensions.

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/// Creates an anonymous shared-memory file of `byte_count` bytes; -1 and errno on failure.
int larder_memfd_create(const char *name, size_t byte_count);

/// Seals such a file once it is mapped: nobody can change its length any more, so no process it is handed to can take
/// pages away under our feet; and unless `allows_writes`, nobody can map it writable any more, whatever descriptor
/// they make of it (F_SEAL_FUTURE_WRITE, Linux 5.1). 0, or -1 and errno.
int larder_memfd_seal(int descriptor, int allows_writes);

/// Sends bytes over a Unix socket with a descriptor attached to the first; never waits. The number of bytes sent, or
/// -1 and errno.
ssize_t larder_send_descriptor(int socket, int descriptor, const void *bytes, size_t byte_count);

/// Receives bytes from a Unix socket, and the descriptor attached to them into `descriptor`, -1 if there is none, with
/// FD_CLOEXEC set; never waits. The number of bytes, or -1 and errno. More descriptors than one are closed.
ssize_t larder_receive_descriptor(int socket, void *bytes, size_t byte_count, int *descriptor);

/// Faults in writable pages of a mapping without changing their content (MADV_POPULATE_WRITE, Linux 5.14);
/// 0, or -1 and errno.
int larder_populate_write(void *address, size_t byte_count);

/// Takes a lock on one byte of a file for its open description; never waits. It is held until the last descriptor and
/// the last mapping made of the description are gone, in whatever process (open file description locks, Linux 3.15).
/// 0, or -1 and errno: EAGAIN or EACCES when somebody else has it.
int larder_lock_byte(int descriptor, int64_t offset, int is_exclusive);

/// Whether another open description holds a lock on that byte: 1 or 0, or -1 and errno.
int larder_byte_is_locked(int descriptor, int64_t offset);

/// Gives a part of a file its space (fallocate, without glibc's fallback that writes); 0, or -1 and errno.
int larder_allocate(int descriptor, int64_t offset, int64_t byte_count);

/// Whether the file, or the directory, is on a file system in memory (tmpfs): 1 or 0, or -1 and errno.
int larder_is_on_tmpfs(const char *path);

/// Stores a word that other processes, or a later run of this one, may read: what was stored before is there when the
/// word is.
static inline void larder_store_release(void *address, uint64_t value) {
    __atomic_store_n((uint64_t *)address, value, __ATOMIC_RELEASE);
}

/// Reads such a word.
static inline uint64_t larder_load_acquire(const void *address) {
    return __atomic_load_n((const uint64_t *)address, __ATOMIC_ACQUIRE);
}

/// The flag for open(2) that bypasses the page cache (O_DIRECT).
int larder_open_flag_direct(void);

/// Keeps the C allocator from holding on to freed memory: few arenas, large blocks by mmap.
void larder_tame_malloc(void);

/// Gives free pages of the heap back to the system when there are at least `byte_count` free bytes.
void larder_trim_heap(size_t byte_count);

#endif
