// @ts-check
/**
 * opencode: a workspace of the type `heliosfs` is a fork of the heliosfs workspace that it runs in.
 *
 * Copy this file to `.opencode/plugin/`, and start opencode with OPENCODE_EXPERIMENTAL_WORKSPACES=true.
 * Each tool call that changes something is a commit, whichever workspace it is in.
 */
import { closeSync, existsSync, openSync, readSync, writeSync } from "node:fs"
import { dirname, join } from "node:path"

/** @typedef {import("@opencode-ai/plugin").WorkspaceInfo} WorkspaceInfo */

const CONTROL = join(".helios", "ctl", "command")
const LIVE = "/.helios/live/"
const REPLY_BYTES = 128 * 1024

/** Error of a verb that was refused; `code` is the name of the errno. */
class Refused extends Error {
  /**
   * @param {string} message
   * @param {string} code
   */
  constructor(message, code) {
    super(message)
    this.code = code
  }
}

/**
 * Return the root of the view that a directory is in, or undefined.
 * @param {string} directory
 */
function viewOf(directory) {
  for (let at = directory; ; at = dirname(at)) {
    if (existsSync(join(at, CONTROL))) return at
    if (at === dirname(at)) return undefined
  }
}

/**
 * Return the mount point of the workspace that a view belongs to.
 * @param {string} view
 */
function topOf(view) {
  return view.split(LIVE)[0]
}

/**
 * Carry out a verb by the control file, and return its reply.
 * @param {string} view
 * @param {string[]} argv
 * @param {string} [branch] branch that is meant in place of the one that the view shows
 */
function request(view, argv, branch) {
  const fd = openSync(join(view, CONTROL), "r+")
  try {
    const buffer = Buffer.alloc(REPLY_BYTES)
    try {
      writeSync(fd, JSON.stringify({ argv, cwd: "", branch: branch ?? null }) + "\n")
    } catch (error) {
      const text = buffer.toString("utf8", 0, readSync(fd, buffer)).trim()
      const code = /** @type {NodeJS.ErrnoException} */ (error).code ?? "EIO"
      throw new Refused(text.replace(/^error: (usage: )?/, ""), code)
    }
    return buffer.toString("utf8", 0, readSync(fd, buffer))
  } finally {
    closeSync(fd)
  }
}

/**
 * Commit what has changed, if anything has.
 * @param {string} view
 * @param {string} message
 * @param {Record<string, string>} metadata
 * @param {string} [branch]
 */
function commit(view, message, metadata, branch) {
  const pairs = Object.entries({ agent: "opencode", ...metadata })
  const words = pairs.map(([key, value]) => `--meta=${key}=${value}`)
  try {
    request(view, ["commit", "-q", `--message=${message}`, ...words], branch)
  } catch (error) {
    if (!(error instanceof Refused && error.code === "ENODATA")) throw error
  }
}

/**
 * Return the name of the branch of a workspace.
 * @param {WorkspaceInfo} info
 */
function branchOf(info) {
  return info.branch || `opencode-${info.id}`
}

// The only export: opencode calls whatever a plugin exports.
/** @type {import("@opencode-ai/plugin").Plugin} */
export const HeliosWorkspacePlugin = async ({ experimental_workspace, directory }) => {
  const view = viewOf(directory)
  if (view === undefined) return {}
  const top = topOf(view)
  experimental_workspace.register("heliosfs", {
    name: "heliosfs",
    description: "A fork of this workspace, with all files as they are, dependencies included",
    configure(info) {
      const branch = branchOf(info)
      return { ...info, name: info.name || branch, branch, directory: join(top, LIVE, branch) }
    },
    async create(info, env, from) {
      request(top, ["branch", "--fork", "--", branchOf(info)], from?.branch ?? undefined)
    },
    async remove(info) {
      const branch = branchOf(info)
      // Its commits stay in .helios/snapshots.
      commit(top, "before the workspace was removed", {}, branch)
      request(top, ["branch", "-D", "--", branch])
    },
    target(info) {
      return { type: "local", directory: join(top, LIVE, branchOf(info)) }
    },
  })
  return {
    "tool.execute.after": async ({ tool, sessionID, callID }) => {
      commit(view, `tool ${tool}`, { session: sessionID, call: callID })
    },
  }
}

export default HeliosWorkspacePlugin
