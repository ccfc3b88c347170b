#include "tests/support/promised_files.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <iterator>
#include <random>

#include <fmt/format.h>

#include "lib/base/text.h"
#include "lib/io/posix_file.h"
#include "tests/support/file_tree.h"

namespace platter::test {
namespace {

constexpr size_t kRecord = 700;

// Every eighth version of a file is that it is not there; version 0 is it, too.
bool is_absent(uint64_t version) { return version % 8 == 0; }

// Tells its version in the first line.
std::string version_of(unsigned slot, uint64_t version) {
  const uint64_t seed = version * 1000 + slot;
  std::mt19937_64 random(seed);
  const size_t size = random() % 10 == 0 ? random() % 700000 : random() % 20000;
  return fmt::format("{} {}\n", slot, version) + file_contents(seed, size);
}

std::string record_of(unsigned thread, uint64_t number) {
  return file_contents(number * 1000 + 500 + thread, kRecord);
}

bool write_whole(int fd, const std::string& bytes) {
  for (size_t at = 0; at < bytes.size();) {
    const ssize_t n = write(fd, bytes.data() + at, bytes.size() - at);
    if (n <= 0) return false;
    at += static_cast<size_t>(n);
  }
  return true;
}

// XFS that has just shut itself down calls a directory synced when its changes were thrown away
// with the journal; of a file it tells the truth.
bool still_alive(const std::string& directory) {
  const std::string name = directory + "/witness";
  const Descriptor fd(open(name.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
  return fd && fsync(fd.get()) == 0;
}

bool sync_directory(const std::string& path) {
  const Descriptor fd(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  return fd && fsync(fd.get()) == 0 && still_alive(path);
}

bool remove_if_there(const std::string& name) {
  return unlink(name.c_str()) == 0 || errno == ENOENT;
}

// Whole and durable under the temporary name before it takes the place of the old one.
bool put(const std::string& name, const std::string& contents) {
  const std::string temporary = name + ".new";
  {
    const Descriptor fd(open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
    if (!fd || !write_whole(fd.get(), contents) || fsync(fd.get()) != 0) return false;
  }
  return rename(temporary.c_str(), name.c_str()) == 0;
}

}  // namespace

std::string PromisedFiles::name_of(unsigned slot) const {
  return fmt::format("{}/file{}", directory_, slot);
}
std::string PromisedFiles::log_of(unsigned thread) const {
  return fmt::format("{}/log{}", directory_, thread);
}

void PromisedFiles::start(uint64_t seed) {
  stop_ = false;
  for (unsigned thread = 0; thread < kThreads; ++thread) {
    threads_.emplace_back([this, thread, seed] { write_on(thread, seed * kThreads + thread); });
  }
}

void PromisedFiles::stop() {
  stop_ = true;
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

// Slots are shared out among the threads, so that each has one writer.
void PromisedFiles::write_on(unsigned thread, uint64_t seed) {
  std::mt19937_64 random(seed);
  bool good = true;
  while (good && !stop_) {
    const auto slot = static_cast<unsigned>(random() % (kSlots / kThreads)) * kThreads + thread;
    good = random() % 3 == 0 ? append(thread) : replace(slot);
    if (good) ++promises_;
  }
}

bool PromisedFiles::replace(unsigned slot) {
  Versions& versions = files_[slot];
  const uint64_t version = ++versions.tried;
  const std::string name = name_of(slot);
  const bool done =
      is_absent(version) ? remove_if_there(name) : put(name, version_of(slot, version));
  if (!done || !sync_directory(directory_)) return false;
  versions.promised = version;
  return true;
}

bool PromisedFiles::append(unsigned thread) {
  const uint64_t number = records_[thread];
  const Descriptor fd(open(log_of(thread).c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
  const std::string record = record_of(thread, number);
  if (!fd || lseek(fd.get(), static_cast<off_t>(number * kRecord), SEEK_SET) < 0) return false;
  if (!write_whole(fd.get(), record) || fsync(fd.get()) != 0) return false;
  if (number == 0 && !sync_directory(directory_)) return false;
  records_[thread] = number + 1;
  return true;
}

std::string PromisedFiles::broken() const {
  for (unsigned slot = 0; slot < kSlots; ++slot) {
    if (std::string what = broken_file(slot); !what.empty()) return what;
  }
  for (unsigned thread = 0; thread < kThreads; ++thread) {
    if (std::string what = broken_log(thread); !what.empty()) return what;
  }
  return "";
}

std::string PromisedFiles::broken_file(unsigned slot) const {
  const uint64_t promised = files_[slot].promised, tried = files_[slot].tried;
  std::ifstream in(name_of(slot), std::ios::binary);
  if (!in) {
    for (uint64_t version = promised; version <= tried; ++version) {
      if (is_absent(version)) return "";
    }
    return fmt::format("{} is missing: version {} was promised", name_of(slot), promised);
  }
  const std::string found{std::istreambuf_iterator<char>(in), {}};
  for (uint64_t version = promised; version <= tried; ++version) {
    if (!is_absent(version) && found == version_of(slot, version)) return "";
  }
  return fmt::format("{} is none of the versions {} to {}: {} bytes, \"{}\"", name_of(slot),
                     promised, tried, found.size(), printable(found.substr(0, 20)));
}

std::string PromisedFiles::broken_log(unsigned thread) const {
  const uint64_t promised = records_[thread];
  std::ifstream in(log_of(thread), std::ios::binary);
  const std::string found{std::istreambuf_iterator<char>(in), {}};
  for (uint64_t number = 0; number < promised; ++number) {
    if (found.compare(number * kRecord, kRecord, record_of(thread, number)) != 0) {
      return fmt::format("{}: record {} of {} is not there", log_of(thread), number, promised);
    }
  }
  return "";
}

}  // namespace platter::test
