// Tells the thread sanitizer what Synchronization.Mutex does when it waits.
//
// The mutex's fast paths are inlined into our code, where the sanitizer sees their atomics. Its slow paths lie in
// libswiftSynchronization, which is built without the sanitizer: a lock handed over by the kernel looks like no lock
// at all, and each such section is reported as a race. These two functions stand before the library's by having
// their names, call them, and say acquired and released; nothing else is annotated or suppressed.
//
// Seen with Swift 6.3 on Linux. The calling convention: Swift's, with the handle in the context register.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>

#define LOCK_SLOW "$s15Synchronization12_MutexHandleV9_lockSlowyys6UInt32VF"
#define UNLOCK_SLOW "$s15Synchronization12_MutexHandleV11_unlockSlowyyF"
#define SWIFT __attribute__((swiftcall))
#define SELF __attribute__((swift_context))

void __tsan_acquire(void *address);
void __tsan_release(void *address);

typedef SWIFT void lock_slow_function(uint32_t thread, SELF void *handle);
typedef SWIFT void unlock_slow_function(SELF void *handle);

SWIFT void larder_lock_slow(uint32_t thread, SELF void *handle) __asm__(LOCK_SLOW);
SWIFT void larder_unlock_slow(SELF void *handle) __asm__(UNLOCK_SLOW);

SWIFT void larder_lock_slow(uint32_t thread, SELF void *handle) {
    static lock_slow_function *found;
    lock_slow_function *original = __atomic_load_n(&found, __ATOMIC_ACQUIRE);
    if (original == 0) {
        original = (lock_slow_function *)dlsym(RTLD_NEXT, LOCK_SLOW);
        __atomic_store_n(&found, original, __ATOMIC_RELEASE);
    }
    original(thread, handle);
    __tsan_acquire(handle);
}

SWIFT void larder_unlock_slow(SELF void *handle) {
    static unlock_slow_function *found;
    unlock_slow_function *original = __atomic_load_n(&found, __ATOMIC_ACQUIRE);
    if (original == 0) {
        original = (unlock_slow_function *)dlsym(RTLD_NEXT, UNLOCK_SLOW);
        __atomic_store_n(&found, original, __ATOMIC_RELEASE);
    }
    __tsan_release(handle);
    original(handle);
}
