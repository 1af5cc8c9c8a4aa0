import Blocks
import Glibc

/// Starts a detached thread of our own for work that blocks.
func startThread(_ body: @escaping @Sendable () -> Void) throws(CacheError) {
    final class Work {
        let body: @Sendable () -> Void
        init(_ body: @escaping @Sendable () -> Void) { self.body = body }
    }
    let work = unsafe Unmanaged.passRetained(Work(body))
    var thread = pthread_t()
    // SAFETY: the new thread takes over the retained object and releases it.
    let result = unsafe pthread_create(
        &thread,
        nil,
        { argument in
            guard let argument = unsafe argument else { return nil }
            let work = unsafe Unmanaged<Work>.fromOpaque(argument).takeRetainedValue()
            work.body()
            return nil
        },
        work.toOpaque()
    )
    guard result == 0 else {
        unsafe work.release()
        throw CacheError(
            .storageFailure,
            "cannot start a thread (\(SystemError(result))); raise the limit on processes"
        )
    }
    pthread_detach(thread)
}
