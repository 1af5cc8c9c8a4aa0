#ifndef LARDER_CPOSIX_H
#define LARDER_CPOSIX_H
// What Swift cannot import from the system's headers: variadic calls, macros with casts, GNU extensions.

#include <stddef.h>
#include <stdint.h>

/// Creates an anonymous shared-memory file of `byte_count` bytes whose length nobody can change any more, so that
/// no process it is handed to can take pages away under our feet; -1 and errno on failure.
int larder_memfd_create(const char *name, size_t byte_count);

/// Faults in writable pages of a mapping without changing their content (MADV_POPULATE_WRITE, Linux 5.14);
/// 0, or -1 and errno.
int larder_populate_write(void *address, size_t byte_count);

/// Keeps the C allocator from holding on to freed memory: few arenas, large blocks by mmap.
void larder_tame_malloc(void);

#endif
