// platterfs: a disk image as a filesystem of flat raw files.
#include <fcntl.h>
#include <sys/resource.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <new>

#include <fmt/format.h>

#include "fusefs/background.h"
#include "fusefs/make_gallery.h"
#include "fusefs/mount_helper.h"
#include "fusefs/mountpoint.h"
#include "fusefs/options.h"
#include "fusefs/session.h"
#include "lib/base/log.h"
#include "lib/base/text.h"

namespace platter::fusefs {
namespace {

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

void tell(const std::string& text) { fmt::print(stderr, "platterfs: {}\n", printable(text)); }

// background: null in the foreground.
Result<void> serve(const MountOptions& options, const std::string& mountpoint,
                   Background* background) {
  const auto source = std::filesystem::absolute(options.images.front()).lexically_normal();
  const Made made = TRY(make_gallery(options));
  Gallery& gallery = *made.gallery;
  TRY(start_log(options));
  if (background != nullptr) {
    gallery.on_init = [&] {
      if (options.verbose) tell(fmt::format("{} mounted on {}", source.string(), mountpoint));
      if (options.log.empty()) log::use(log::Target::syslog, "platterfs");
      background->ready();
    };
  }
  auto session = TRY(Session::mount(options, source, mountpoint, gallery));
  for (const std::string& remark : made.remarks) tell(remark);
  Result<void> served_well = session->run();
  session.reset();
  Result<void> closed = gallery.close();
  if (!closed && background != nullptr && !gallery.has_directory()) {
    log::error("{}", closed.error().message());
  }
  return closed ? std::move(served_well) : std::move(closed);
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
