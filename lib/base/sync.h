// Mutexes that clang's thread safety analysis knows. Outside clang the marks vanish.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <shared_mutex>

#if defined(__clang__)
#define PLATTER_TSA(x) __attribute__((x))
#else
#define PLATTER_TSA(x)
#endif

#define CAPABILITY(x) PLATTER_TSA(capability(x))
#define SCOPED_CAPABILITY PLATTER_TSA(scoped_lockable)
#define GUARDED_BY(x) PLATTER_TSA(guarded_by(x))
#define REQUIRES(...) PLATTER_TSA(requires_capability(__VA_ARGS__))
#define ACQUIRE(...) PLATTER_TSA(acquire_capability(__VA_ARGS__))
#define RELEASE(...) PLATTER_TSA(release_capability(__VA_ARGS__))
#define ACQUIRE_SHARED(...) PLATTER_TSA(acquire_shared_capability(__VA_ARGS__))
#define RELEASE_SHARED(...) PLATTER_TSA(release_shared_capability(__VA_ARGS__))
#define EXCLUDES(...) PLATTER_TSA(locks_excluded(__VA_ARGS__))

namespace platter {

class CAPABILITY("mutex") Mutex {
 public:
  void lock() ACQUIRE() { mutex_.lock(); }
  void unlock() RELEASE() { mutex_.unlock(); }

 private:
  std::mutex mutex_;
};

class SCOPED_CAPABILITY MutexLock {
 public:
  explicit MutexLock(Mutex& mutex) ACQUIRE(mutex) : mutex_(mutex) { mutex_.lock(); }
  ~MutexLock() RELEASE() { mutex_.unlock(); }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

 private:
  Mutex& mutex_;
};

// Many readers or one writer.
class CAPABILITY("mutex") SharedMutex {
 public:
  void lock() ACQUIRE() { mutex_.lock(); }
  void unlock() RELEASE() { mutex_.unlock(); }
  void lock_shared() ACQUIRE_SHARED() { mutex_.lock_shared(); }
  void unlock_shared() RELEASE_SHARED() { mutex_.unlock_shared(); }

 private:
  std::shared_mutex mutex_;
};

class SCOPED_CAPABILITY WriteLock {
 public:
  explicit WriteLock(SharedMutex& mutex) ACQUIRE(mutex) : mutex_(mutex) { mutex_.lock(); }
  ~WriteLock() RELEASE() { mutex_.unlock(); }
  WriteLock(const WriteLock&) = delete;
  WriteLock& operator=(const WriteLock&) = delete;

 private:
  SharedMutex& mutex_;
};

class SCOPED_CAPABILITY ReadLock {
 public:
  explicit ReadLock(SharedMutex& mutex) ACQUIRE_SHARED(mutex) : mutex_(mutex) {
    mutex_.lock_shared();
  }
  ~ReadLock() RELEASE() { mutex_.unlock_shared(); }
  ReadLock(const ReadLock&) = delete;
  ReadLock& operator=(const ReadLock&) = delete;

 private:
  SharedMutex& mutex_;
};

class CondVar {
 public:
  // mutex is held by the caller, given up while waiting, and held again on return. Wakes for no
  // reason now and then: always wait in a loop.
  void wait(Mutex& mutex) REQUIRES(mutex) { condition_.wait(mutex); }
  // At most that long.
  void wait_for(Mutex& mutex, std::chrono::milliseconds limit) REQUIRES(mutex) {
    condition_.wait_for(mutex, limit);
  }
  void notify_one() { condition_.notify_one(); }
  void notify_all() { condition_.notify_all(); }

 private:
  std::condition_variable_any condition_;
};

}  // namespace platter
