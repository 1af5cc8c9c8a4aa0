#ifndef LARDER_DISK_FAULTS_H
#define LARDER_DISK_FAULTS_H
// A disk that fails on demand: the calls that change files go through here before they reach the C library.

#ifdef __cplusplus
extern "C" {
#endif

/// Counts the calls that change a file whose path starts with `directory`, and fails some of them.
///
/// Writing, syncing, linking, renaming, making and cutting files count; removing them never fails. The calls
/// `first` (from 1) to `last` fail with `error_number`. With `late` set they are carried out all the same and fail
/// then, as a lost answer does. With `part` set, only files whose name contains it are counted.
void larder_disk_faults_start(
    const char *directory, const char *part, long first, long last, int error_number, int late);

/// Lets all calls through again; gives how many were counted.
long larder_disk_faults_stop(void);

/// How many calls were failed since the start.
long larder_disk_faults_count(void);

#ifdef __cplusplus
}
#endif
#endif
