// platterfs: a disk image as a filesystem of flat raw files.
#include <fcntl.h>
#include <sys/resource.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <new>
#include <optional>
#include <thread>

#include <fmt/format.h>

#include "fusefs/background.h"
#include "fusefs/mount_helper.h"
#include "fusefs/mountpoint.h"
#include "fusefs/open_container.h"
#include "fusefs/options.h"
#include "fusefs/session.h"
#include "lib/base/log.h"
#include "lib/base/text.h"

namespace platter::fusefs {
namespace {

constexpr unsigned kLeastThreads = 4;

int fail(const Error& error, int status) {
  fmt::print(stderr, "platterfs: {}\n", printable(error.message()));
  return status;
}

// A chain of images has as many files; the soft limit is for programs that use select().
void raise_file_limit() {
  rlimit limit = {};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

Result<void> start_log(const MountOptions& options) {
  if (options.debug) log::set_level(log::Level::debug);
  if (!options.log.empty()) {
    if (!options.debug) log::set_level(log::Level::info);
    // Opened here first: the logging library would make directories, and say less.
    const Descriptor file(
        open(options.log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644));
    if (!file) return system_error(options.log, "cannot be opened as the log", errno);
    if (!log::use(log::Target::file, "platterfs", options.log)) {
      return Error(Errc::invalid, options.log + ": cannot be opened as the log");
    }
  } else {
    log::use(log::Target::standard_error, "platterfs");
  }
  return {};
}

unsigned thread_count(const MountOptions& options) {
  if (options.single_thread) return 1;
  if (options.threads != 0) return options.threads;
  return std::max(kLeastThreads, std::thread::hardware_concurrency());
}

// background: null in the foreground.
Result<void> serve(const MountOptions& options, const std::string& mountpoint,
                   Background* background) {
  const Opened opened = TRY(open_container(options));
  Container& container = *opened.container;
  const auto path = std::filesystem::absolute(options.image).lexically_normal();
  // What is written takes its space where the top image is.
  const auto home = std::filesystem::absolute(container.chain().front().path).parent_path();
  Descriptor directory(open(home.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!directory) return system_error(home, "cannot open", errno);
  TRY(start_log(options));
  Served served(container, std::move(directory), options, thread_count(options));
  if (background != nullptr) {
    served.on_init = [&] {
      if (options.verbose) {
        fmt::print(stderr, "platterfs: {} mounted on {}\n", printable(path.string()),
                   printable(mountpoint));
      }
      if (options.log.empty()) log::use(log::Target::syslog, "platterfs");
      background->ready();
    };
  }
  auto session = TRY(Session::mount(options, path, mountpoint, served));
  tell_about(opened);
  Result<void> served_well = session->run();
  session.reset();
  // Whoever wrote without a sync learns of a failure only here.
  if (Writer* const writer = container.writer()) {
    Result<void> closed = writer->close();
    if (!closed && background != nullptr) log::error("{}", closed.error().message());
    if (!closed) return closed;
  }
  return served_well;
}

Result<void> start(const MountOptions& options, const ExitStatuses& statuses) {
  const std::string mountpoint = TRY(check_mountpoint(options.mountpoint, options.nonempty));
  if (options.foreground) return serve(options, mountpoint, nullptr);
  Background background = TRY(Background::start(mountpoint, statuses.failure));
  return serve(options, mountpoint, &background);
}

int run(const Call& call) {
  if (!call.options) return fail(call.options.error(), call.statuses.usage);
  const MountOptions& options = *call.options;
  switch (options.action) {
    case MountOptions::Action::help: fmt::print("{}", call.help()); return 0;
    case MountOptions::Action::version:
      fmt::print("platterfs {} (libfuse {})\n", PLATTER_VERSION, fuse_pkgversion());
      return 0;
    case MountOptions::Action::check: {
      const Result<std::string> good = check_mountpoint(options.mountpoint, options.nonempty);
      return good ? 0 : fail(good.error(), call.statuses.of(good.error()));
    }
    case MountOptions::Action::nothing: return 0;
    case MountOptions::Action::mount: break;
  }
  raise_file_limit();
  const Result<void> done = start(options, call.statuses);
  return done ? 0 : fail(done.error(), call.statuses.of(done.error()));
}

}  // namespace
}  // namespace platter::fusefs

int main(int argc, char** argv) {
  try {
    return platter::fusefs::run(platter::fusefs::call_of(argc, argv));
  } catch (const std::exception& e) {
    fmt::print(stderr, "platterfs: {}\n", e.what());
    return 1;
  }
}
