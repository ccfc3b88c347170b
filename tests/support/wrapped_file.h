// Files that misbehave on purpose, around another File.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <mutex>

#include "lib/io/file.h"

namespace platter::test {

// What is asked of a File, in the order tests count it.
enum class Call : unsigned char { read, write, resize, sync, make_zero };

// Calls before(call) first; an error it gives is the outcome and the call is not made. Thread safe
// as far as before is.
class WrappedFile final : public File {
 public:
  using Before = std::function<Result<void>(Call)>;
  WrappedFile(FilePtr file, Before before) : file_(std::move(file)), before_(std::move(before)) {}

  const std::string& name() const override { return file_->name(); }
  Result<FileStat> stat() const override { return file_->stat(); }
  Result<void> write(uint64_t offset, Bytes data) override {
    TRY(before_(Call::write));
    return file_->write(offset, data);
  }
  Result<void> resize(uint64_t size) override {
    TRY(before_(Call::resize));
    return file_->resize(size);
  }
  Result<void> sync() override {
    TRY(before_(Call::sync));
    return file_->sync();
  }
  Result<bool> make_zero(const Range& range, Zero how) override {
    TRY(before_(Call::make_zero));
    return file_->make_zero(range, how);
  }
  Result<Run> run_at(uint64_t offset) const override { return file_->run_at(offset); }

 private:
  Result<size_t> read_some(uint64_t offset, MutableBytes out) const override {
    TRY(before_(Call::read));
    return file_->read_available(offset, out);
  }

  FilePtr file_;
  Before before_;
};

// The n-th call fails (the first is 1), with the error given; a sync that failed goes on failing.
class FailAt {
 public:
  FailAt(uint64_t n, int sys_errno) : n_(n), errno_(sys_errno) {}
  WrappedFile::Before hook();
  bool fired() const { return fired_; }
  bool sync_failed() const { return sync_failed_; }
  void disarm() { n_ = ~uint64_t{0}; }           // a failed sync goes on failing all the same
  void pause(bool paused) { paused_ = paused; }  // calls are neither counted nor failed

 private:
  Result<void> next(Call call);
  std::atomic<uint64_t> count_{0};
  std::atomic<uint64_t> n_;
  int errno_;
  std::atomic<bool> paused_{false};
  std::atomic<bool> sync_failed_{false};
  std::atomic<bool> fired_{false};
};

// Holds one chosen call open until released, so that a race is made rather than hoped for.
class Pause {
 public:
  explicit Pause(Call call) : call_(call) {}
  WrappedFile::Before hook();
  void arm();  // the next such call stops
  // Until it has; false when none comes.
  [[nodiscard]] bool wait_stopped();
  void release();

 private:
  Call call_;
  std::mutex mutex_;
  std::condition_variable changed_;
  enum class State : unsigned char { idle, armed, stopped } state_ = State::idle;
};

// A sync that is a lie: the n-th of every `every` returns at once. Stands for an ordering sync
// missing in the program.
class SkipSync final : public File {
 public:
  SkipSync(FilePtr file, unsigned every, unsigned which)
      : file_(std::move(file)), every_(every), which_(which) {}
  const std::string& name() const override { return file_->name(); }
  Result<FileStat> stat() const override { return file_->stat(); }
  Result<void> write(uint64_t offset, Bytes data) override { return file_->write(offset, data); }
  Result<void> resize(uint64_t size) override { return file_->resize(size); }
  Result<void> sync() override {
    return count_++ % every_ == which_ ? Result<void>{} : file_->sync();
  }
  Result<bool> make_zero(const Range& range, Zero how) override {
    return file_->make_zero(range, how);
  }
  Result<Run> run_at(uint64_t offset) const override { return file_->run_at(offset); }

 private:
  Result<size_t> read_some(uint64_t offset, MutableBytes out) const override {
    return file_->read_available(offset, out);
  }
  FilePtr file_;
  unsigned every_, which_;
  std::atomic<unsigned> count_{0};
};

}  // namespace platter::test
