// Container: a chain of images, the disk they make together, and its earlier states.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "lib/container/cached_chain.h"
#include "lib/container/chain.h"
#include "lib/container/read_cache.h"
#include "lib/container/view.h"
#include "lib/container/writer.h"
#include "lib/image/page_cache.h"

namespace platter {

struct ContainerOptions {
  std::string format;  // of the named image; empty: probe
  References references = References::beside;
  Links links = Links::follow;          // of the name of the image
  bool cross_mounts = true;             // see directory_resolver()
  std::vector<std::string> named = {};  // likewise
  std::string snapshot;                 // this state is the disk; empty: the live one
  uint64_t cache_bytes = 64 * MiB;      // tables and decompressed blocks
  // False: the named image alone. It can be asked for what it says of itself, not read.
  bool parents = true;
  // Access::write: the disk can be changed through writer(). Errc::read_only when the format cannot
  // be, or the snapshot named is the disk; Errc::denied when the file may not be.
  Access access = Access::read;
  bool lock = false;  // keep other programs away: Errc::busy when one is there
  // ChainRequest::given.
  std::optional<std::vector<GivenImage>> given = {};
  // On top of the named image, which is then only read.
  Overlay overlay = {};
  WriterOptions writer = {};
  // A cache image in front of the disk or, with an overlay, of what that lies on. An empty file
  // becomes one. Errors as of ReadCache::open(), and Errc::unsupported: the disk is encrypted;
  // invalid: others are not kept from it.
  FilePtr cache_file = nullptr;             // null: none
  std::optional<uint64_t> cache_size = {};  // bytes; empty: the file's own, or kDefaultCacheSize
  // Of encrypted images; used only during open. Null: every byte of theirs is Errc::no_key.
  KeySource* keys = nullptr;
};

// An earlier state of the disk: an internal snapshot of the top image, or a parent layer.
struct State {
  enum class Kind : unsigned char { snapshot, layer };
  Kind kind = Kind::snapshot;
  std::string name;       // as stored, or a layer's file name
  std::string shown;      // as a directory entry: escaped, and no two alike
  SnapshotInfo snapshot;  // of a snapshot
  size_t depth = 0;       // of a layer: its index in the chain
  ViewPtr view;
  bool removed = false;  // a snapshot that was deleted: it has neither name nor contents any more
};

// Immutable after open but for what goes through writer() and change_snapshots(). Thread safe;
// info(), chain() and states() of a container that is written are looked at in a Layout::Request.
// Views must not outlive it.
class Container {
 public:
  static Result<std::unique_ptr<Container>> open(const std::string& path,
                                                 const ContainerOptions& options = {});
  // Closes the cache image behind all images. What was written and not flushed is lost.
  ~Container();
  Container(const Container&) = delete;
  Container& operator=(const Container&) = delete;

  const std::vector<ChainLayer>& chain() const { return chain_; }  // the top first
  const ImageInfo& info() const { return chain_.front().image->info(); }
  // The live disk, where nobody can change its size or its layers meanwhile; else through layout().
  const ViewPtr& live() const { return layout_->live(); }
  // Whoever reads a container that is written holds a Layout::Request from before it maps until it
  // has the bytes.
  const Layout& layout() const { return *layout_; }
  // Null: open for reading. Its close() tells how the last flush went.
  Writer* writer() const { return writer_.get(); }
  // Internal snapshots in the image's order, then the parents, the nearest first, then snapshots
  // that were made since. Each stays where it is, in its place and in memory.
  const std::deque<State>& states() const { return states_; }

  // Of the top image; as Writer::change_snapshots(), which needs a writer(). What was made is the
  // last of states().
  Result<void> change_snapshots(const SnapshotRequest& request);

  // "id:X", "name:X", or X: an unambiguous snapshot name, else a snapshot id, else a layer's file
  // name, else a name as it is shown.
  Result<const State*> find_state(std::string_view wanted) const;

  // Since it was opened. Tables: pages of them; blocks: compressed units.
  struct CachesUse {
    CacheUse tables, blocks;
  };
  CachesUse caches_use() { return {tables_->use(), blocks_.use()}; }

  // Null: there is none.
  const ReadCache* cache() const { return cache_.get(); }

  // Bytes the host keeps for all files of the layers from depth on.
  Result<uint64_t> allocated(size_t depth = 0) const;

 private:
  explicit Container(uint64_t cache_bytes);
  Result<void> start_writing(const ContainerOptions& options);
  Result<void> start_cache(const ContainerOptions& options);
  // As a view, with the cache where it has one.
  ViewPtr live_view(const ContainerOptions& options, std::vector<View::Layer> layers);
  void close_cache();
  Result<const State*> find_layer_or_shown(std::string_view wanted) const;
  void make_states();
  void update_states();
  void name_states();

  Epochs epochs_;
  BlockCache blocks_;
  std::shared_ptr<PageCache> tables_;
  std::vector<ChainLayer> chain_;
  std::optional<CachedChain> cached_;  // with cache_
  std::unique_ptr<ReadCache> cache_;
  std::optional<Layout> layout_;    // from the end of open() on
  std::unique_ptr<Writer> writer_;  // ends before what it writes to
  std::deque<State> states_;
};

}  // namespace platter
