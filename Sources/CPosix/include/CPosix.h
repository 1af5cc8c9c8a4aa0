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

/// The flag for open(2) that bypasses the page cache (O_DIRECT).
int larder_open_flag_direct(void);

/// Keeps the C allocator from holding on to freed memory: few arenas, large blocks by mmap.
void larder_tame_malloc(void);

#endif
