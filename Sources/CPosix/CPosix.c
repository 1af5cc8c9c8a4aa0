#define _GNU_SOURCE
#include "CPosix.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <unistd.h>

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif
#ifndef TMPFS_MAGIC
#define TMPFS_MAGIC 0x01021994
#endif
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

int larder_memfd_create(const char *name, size_t byte_count) {
    int descriptor = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (descriptor < 0) return -1;
    if (ftruncate(descriptor, (off_t)byte_count) != 0) {
        int reason = errno;
        close(descriptor);
        errno = reason;
        return -1;
    }
    return descriptor;
}

int larder_memfd_seal(int descriptor, int allows_writes) {
    int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
    if (!allows_writes) seals |= F_SEAL_FUTURE_WRITE;
    return fcntl(descriptor, F_ADD_SEALS, seals);
}

ssize_t larder_send_descriptor(int socket, int descriptor, const void *bytes, size_t byte_count) {
    struct iovec piece = {.iov_base = (void *)bytes, .iov_len = byte_count};
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control;
    memset(&control, 0, sizeof control);
    struct msghdr message = {
        .msg_iov = &piece, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(header), &descriptor, sizeof descriptor);
    ssize_t count;
    do {
        count = sendmsg(socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    } while (count < 0 && errno == EINTR);
    return count;
}

ssize_t larder_receive_descriptor(int socket, void *bytes, size_t byte_count, int *descriptor) {
    struct iovec piece = {.iov_base = bytes, .iov_len = byte_count};
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(8 * sizeof(int))];
    } control;
    struct msghdr message = {
        .msg_iov = &piece, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    *descriptor = -1;
    ssize_t count;
    do {
        count = recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    } while (count < 0 && errno == EINTR);
    if (count < 0) return count;
    for (struct cmsghdr *header = CMSG_FIRSTHDR(&message); header; header = CMSG_NXTHDR(&message, header)) {
        if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
        size_t descriptor_count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t index = 0; index < descriptor_count; index++) {
            int received;
            memcpy(&received, CMSG_DATA(header) + index * sizeof received, sizeof received);
            if (*descriptor < 0) {
                *descriptor = received;
            } else {
                close(received);
            }
        }
    }
    return count;
}

int larder_populate_write(void *address, size_t byte_count) {
    return madvise(address, byte_count, MADV_POPULATE_WRITE);
}

int larder_lock_byte(int descriptor, int64_t offset, int is_exclusive) {
    struct flock lock = {
        .l_type = is_exclusive ? F_WRLCK : F_RDLCK, .l_whence = SEEK_SET, .l_start = offset, .l_len = 1};
    return fcntl(descriptor, F_OFD_SETLK, &lock);
}

int larder_byte_is_locked(int descriptor, int64_t offset) {
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = offset, .l_len = 1};
    if (fcntl(descriptor, F_OFD_GETLK, &lock) != 0) return -1;
    return lock.l_type != F_UNLCK;
}

int larder_allocate(int descriptor, int64_t offset, int64_t byte_count) {
    return fallocate(descriptor, 0, (off_t)offset, (off_t)byte_count);
}

int larder_is_on_tmpfs(const char *path) {
    struct statfs status;
    if (statfs(path, &status) != 0) return -1;
    return status.f_type == TMPFS_MAGIC;
}

int larder_open_flag_direct(void) {
    return O_DIRECT;
}

void larder_tame_malloc(void) {
    mallopt(M_ARENA_MAX, 4);
    mallopt(M_MMAP_THRESHOLD, 1 << 20);
    mallopt(M_TRIM_THRESHOLD, 4 << 20);
}

void larder_trim_heap(size_t byte_count) {
    if (mallinfo2().fordblks >= byte_count) malloc_trim(0);
}
