// Session: a mount and the threads that answer it.
#pragma once

#include <memory>
#include <string>

#include "fusefs/end_signals.h"
#include "fusefs/fuse_api.h"
#include "fusefs/gallery.h"

namespace platter::fusefs {

class Session {
 public:
  // Mounts. gallery outlives the session. source: an absolute path, for the mount table.
  static Result<std::unique_ptr<Session>> mount(const MountOptions& options,
                                                const std::string& source,
                                                const std::string& mountpoint, Gallery& gallery);
  // Unmounts, if nobody has.
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // Answers requests until the mount is gone or a signal ends it. In the thread that mounted.
  Result<void> run();

 private:
  Session(Gallery& gallery, std::string mountpoint)
      : gallery_(gallery), mountpoint_(std::move(mountpoint)) {}
  // What only a mount that can be written needs.
  Result<void> prepare_writing();
  int loop();
  bool may_end(bool first) const;
  void end();

  Gallery& gallery_;
  const std::string mountpoint_;
  fuse_lowlevel_ops ops_ = {};
  EndSignals signals_;
  fuse_session* session_ = nullptr;
  std::unique_ptr<Notifier> notifier_;
  bool single_thread_ = false;
  bool mounted_ = false;
};

}  // namespace platter::fusefs
