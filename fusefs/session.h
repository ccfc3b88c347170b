// Session: a mount and the threads that answer it.
#pragma once

#include <memory>
#include <string>

#include "fusefs/end_signals.h"
#include "fusefs/fuse_api.h"
#include "fusefs/served.h"

namespace platter::fusefs {

class Session {
 public:
  // Mounts. served outlives the session. image: an absolute path, for the mount table.
  static Result<std::unique_ptr<Session>> mount(const MountOptions& options,
                                                const std::string& image,
                                                const std::string& mountpoint, Served& served);
  // Unmounts, if nobody has.
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // Answers requests until the mount is gone or a signal ends it. In the thread that mounted.
  Result<void> run();

 private:
  Session(Served& served, std::string mountpoint)
      : served_(served), mountpoint_(std::move(mountpoint)) {}
  // What only a mount that can be written needs.
  Result<void> prepare_writing();
  int loop();
  bool may_end(bool first) const;
  void end();

  Served& served_;
  const std::string mountpoint_;
  fuse_lowlevel_ops ops_ = {};
  EndSignals signals_;
  fuse_session* session_ = nullptr;
  std::unique_ptr<Notifier> notifier_;
  bool single_thread_ = false;
  bool mounted_ = false;
};

}  // namespace platter::fusefs
