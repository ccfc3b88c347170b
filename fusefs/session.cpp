#include "fusefs/session.h"

#include <cerrno>

#include <fmt/format.h>

#include "fusefs/auto_unmount.h"
#include "fusefs/kernel_offer.h"
#include "fusefs/libfuse_messages.h"
#include "fusefs/mountpoint.h"
#include "fusefs/ops.h"
#include "lib/base/log.h"
#include "lib/host/mount_users.h"

namespace platter::fusefs {
namespace {

// An argument list of libfuse's.
class Arguments {
 public:
  Arguments() { add("platterfs"); }
  ~Arguments() { fuse_opt_free_args(&args_); }
  Arguments(const Arguments&) = delete;
  Arguments& operator=(const Arguments&) = delete;

  void add(const std::string& argument) { fuse_opt_add_arg(&args_, argument.c_str()); }
  // value: any bytes; commas and backslashes would end it.
  void add_option(const std::string& name, std::string_view value) {
    std::string escaped;
    for (const char c : value) {
      if (c == ',' || c == '\\') escaped += '\\';
      escaped += c;
    }
    add(fmt::format("-o{}={}", name, escaped));
  }
  fuse_args* get() { return &args_; }

 private:
  fuse_args args_ = FUSE_ARGS_INIT(0, nullptr);
};

void fill(Arguments& arguments, const MountOptions& options, const std::string& source,
          bool writable) {
  arguments.add(writable ? "-orw" : "-oro");
  arguments.add("-odefault_permissions");
  arguments.add(fmt::format("-omax_read={}", MiB));
  arguments.add_option("fsname", options.fsname.empty() ? source : options.fsname);
  arguments.add_option("subtype", options.subtype);
  for (const std::string& option : options.kernel) arguments.add("-o" + option);
  if (options.debug) arguments.add("-odebug");
}

}  // namespace

Result<std::unique_ptr<Session>> Session::mount(const MountOptions& options,
                                                const std::string& source,
                                                const std::string& mountpoint, Gallery& gallery) {
  std::unique_ptr<Session> session(new Session(gallery, mountpoint));
  session->single_thread_ = options.single_thread;
  Arguments arguments;
  fill(arguments, options, source, gallery.writable());
  session->ops_ = filesystem_ops();
  std::string said;
  const std::set<int> sockets = open_sockets();
  {
    const StandardErrorCapture captured;
    session->session_ =
        fuse_session_new(arguments.get(), &session->ops_, sizeof session->ops_, &gallery);
    session->mounted_ = session->session_ != nullptr &&
                        fuse_session_mount(session->session_, mountpoint.c_str()) == 0;
    said = captured.first_line();
  }
  if (!session->mounted_) {
    const std::string missing = missing_for_mounts();
    if (!missing.empty()) said = missing;
    return Error(Errc::io, fmt::format("{}: cannot mount: {}", mountpoint,
                                       said.empty() ? "libfuse gives no reason" : said));
  }
  close_last(sockets);
  log_libfuse();
  if (gallery.writable()) TRY(session->prepare_writing());
  return session;
}

Result<void> Session::prepare_writing() {
  if (!carry_requests(session_)) {
    return Error(Errc::io, mountpoint_ + ": cannot mount: libfuse does not hand over its requests");
  }
  notifier_ = std::make_unique<Notifier>(session_);
  gallery_.set_notifier(notifier_.get());
  return {};
}

Session::~Session() {
  if (mounted_) fuse_session_unmount(session_);
  if (session_ != nullptr) fuse_session_destroy(session_);
}

bool Session::may_end(bool first) const {
  const size_t open = gallery_.open_files();
  if (open == 0 || !first) return true;
  const Result<void> flushed = gallery_.flush();
  if (!flushed) log::error("{}", flushed.error().message());
  const auto holders = fmt::format("{}", fmt::join(mount_users(mountpoint_), ", "));
  log::write(log::Level::warning,
             fmt::format("{}: {} open {} it in use{}{}: a second signal ends it all the same",
                         mountpoint_, open, open == 1 ? "file keeps" : "files keep",
                         holders.empty() ? "" : " by ", holders));
  return false;
}

void Session::end() {
  // What it waits for is answered only as long as requests are served.
  if (notifier_) notifier_->stop();
  fuse_session_exit(session_);
}

int Session::loop() {
  if (single_thread_) return fuse_session_loop(session_);
  const std::unique_ptr<fuse_loop_config, void (*)(fuse_loop_config*)> config(
      fuse_loop_cfg_create(), fuse_loop_cfg_destroy);
  if (!config) return -ENOMEM;
  fuse_loop_cfg_set_clone_fd(config.get(), 1);
  fuse_loop_cfg_set_max_threads(config.get(), gallery_.by().threads);
  // None is ever ended for being idle: starting one costs more than keeping it.
  fuse_loop_cfg_set_idle_threads(config.get(), gallery_.by().threads);
  return fuse_session_loop_mt(session_, config.get());
}

Result<void> Session::run() {
  signals_.watch([this](bool first) { return may_end(first); }, [this] { end(); });
  if (notifier_) notifier_->start();
  gallery_.start();
  const int result = loop();
  signals_.stop();
  if (notifier_) notifier_->stop();
  // ECONNABORTED: the connection was ended from outside while a request was handed over.
  if (result < 0 && result != -ECONNABORTED)
    return system_error(mountpoint_, "cannot serve", -result);
  return {};
}

}  // namespace platter::fusefs
