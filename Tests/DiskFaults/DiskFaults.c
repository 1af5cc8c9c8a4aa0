// These functions stand before the C library's by having their names, for librocksdb too. While no faults are asked
// for they cost one load.
#define _GNU_SOURCE
#include "CDiskFaults.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define WATCHED 1
#endif
#endif

static int is_active;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char directory[PATH_MAX];
static char part[NAME_MAX];
static long first_call, last_call, seen, failed;
static int error_number, is_late;

void larder_disk_faults_start(
    const char *new_directory, const char *new_part, long first, long last, int error, int late) {
    pthread_mutex_lock(&lock);
    snprintf(directory, sizeof directory, "%s", new_directory);
    snprintf(part, sizeof part, "%s", new_part == NULL ? "" : new_part);
    first_call = first;
    last_call = last;
    error_number = error;
    is_late = late;
    seen = 0;
    failed = 0;
    __atomic_store_n(&is_active, 1, __ATOMIC_RELEASE);
    pthread_mutex_unlock(&lock);
}

long larder_disk_faults_stop(void) {
    __atomic_store_n(&is_active, 0, __ATOMIC_RELEASE);
    pthread_mutex_lock(&lock);
    long count = seen;
    pthread_mutex_unlock(&lock);
    return count;
}

long larder_disk_faults_count(void) {
    pthread_mutex_lock(&lock);
    long count = failed;
    pthread_mutex_unlock(&lock);
    return count;
}

// 0: go on. 1: fail. 2: go on, then fail.
static int judge_path(const char *path) {
    int verdict = 0;
    pthread_mutex_lock(&lock);
    const char *slash = strrchr(path, '/');
    if (strncmp(path, directory, strlen(directory)) == 0
        && strstr(slash == NULL ? path : slash + 1, part) != NULL) {
        seen += 1;
        if (seen >= first_call && seen <= last_call) {
            failed += 1;
            verdict = is_late ? 2 : 1;
        }
    }
    pthread_mutex_unlock(&lock);
    return verdict;
}

static int judge_file(int file) {
    if (!__atomic_load_n(&is_active, __ATOMIC_ACQUIRE)) { return 0; }
    char link[64], path[PATH_MAX];
    int kept = errno;
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t count = readlink(link, path, sizeof path - 1);
    errno = kept;
    if (count < 0) { return 0; }
    path[count] = 0;
    return judge_path(path);
}

static int judge(const char *path) {
    return __atomic_load_n(&is_active, __ATOMIC_ACQUIRE) ? judge_path(path) : 0;
}

#define ORIGINAL(name)                                                              \
    static __typeof__(&name) original;                                              \
    __typeof__(&name) call = __atomic_load_n(&original, __ATOMIC_ACQUIRE);          \
    if (call == NULL) {                                                             \
        call = (__typeof__(&name))dlsym(RTLD_NEXT, #name);                          \
        __atomic_store_n(&original, call, __ATOMIC_RELEASE);                        \
    }

#define PERFORM(verdict, expression)                                                \
    do {                                                                            \
        int given = (verdict);                                                      \
        __typeof__(expression) result = -1;                                         \
        if (given != 1) { result = (expression); }                                  \
        if (given == 0) { return result; }                                          \
        errno = error_number;                                                       \
        return -1;                                                                  \
    } while (0)

// The sanitizer learns from these two what threads tell each other by pipes: it keeps its own versions of them.
#ifdef WATCHED
ssize_t __interceptor_write(int, const void *, size_t);
ssize_t __interceptor_pwrite(int, const void *, size_t, off_t);
ssize_t write(int file, const void *bytes, size_t count) {
    PERFORM(judge_file(file), __interceptor_write(file, bytes, count));
}
ssize_t pwrite(int file, const void *bytes, size_t count, off_t offset) {
    PERFORM(judge_file(file), __interceptor_pwrite(file, bytes, count, offset));
}
#else
ssize_t write(int file, const void *bytes, size_t count) {
    ORIGINAL(write)
    PERFORM(judge_file(file), call(file, bytes, count));
}
ssize_t pwrite(int file, const void *bytes, size_t count, off_t offset) {
    ORIGINAL(pwrite)
    PERFORM(judge_file(file), call(file, bytes, count, offset));
}
#endif

int fsync(int file) {
    ORIGINAL(fsync)
    PERFORM(judge_file(file), call(file));
}

int fdatasync(int file) {
    ORIGINAL(fdatasync)
    PERFORM(judge_file(file), call(file));
}

int fallocate(int file, int mode, off_t offset, off_t count) {
    ORIGINAL(fallocate)
    PERFORM(judge_file(file), call(file, mode, offset, count));
}

int ftruncate(int file, off_t count) {
    ORIGINAL(ftruncate)
    PERFORM(judge_file(file), call(file, count));
}

int link(const char *from, const char *to) {
    ORIGINAL(link)
    PERFORM(judge(to), call(from, to));
}

int rename(const char *from, const char *to) {
    ORIGINAL(rename)
    PERFORM(judge(to), call(from, to));
}

int open(const char *path, int flags, ...) {
    ORIGINAL(open)
    mode_t mode = 0;
    if (flags & (O_CREAT | __O_TMPFILE)) {
        va_list arguments;
        va_start(arguments, flags);
        mode = va_arg(arguments, mode_t);
        va_end(arguments);
    }
    // A late failure would leak the descriptor: opening fails before.
    int verdict = flags & O_CREAT ? judge(path) : 0;
    PERFORM(verdict == 2 ? 1 : verdict, call(path, flags, mode));
}
