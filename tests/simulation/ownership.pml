/* SPDX-License-Identifier: Apache-2.0
 *
 * Who may speak for a role: the ownership protocol of one or two actives and one standby, explored exhaustively. What
 * each part stands for, what is explored and what is left out: docs/SIMULATION.md.
 *
 *   ownership.pml ── ownership_control.pml    the control-server, its store, its switch and its power driver
 *                 │  └ ownership_machines.pml  what it decides by itself, and what it asks answers
 *                 ├─ ownership_active.pml     the host-agent of an active, its kernel's gate
 *                 ├─ ownership_standby.pml    the host-agent of the standby: mirrors, movements, the host
 *                 └─ ownership_failures.pml   what goes wrong, and how much of it in one history
 *
 *   spin -a -DROLES=2 ownership.pml && gcc -O1 -DSAFETY -DCOLLAPSE -o pan pan.c
 *   KINDS=mask FAILURES=n LEASES=0 MOVES=1 HANDS=1 PLANTED=k ./pan -m20000
 *
 * Invariants, asserted in every state: one owner speaks for a role; a term is used by one place; an order finds room
 * in its stream; terms stay within their array.
 */
#ifndef ROLES
#define ROLES 1
#endif
#define TERMS 16

#define SKIP_ISOLATION 1     /* the isolation is answered and not done */
#define REUSE_TERM 2         /* a term that was reserved and rolled back is given again */
#define CONT_AFTER_COMMIT 3  /* the guest goes on after the movement's commit */
#define GATE_AT_BOOT 4       /* a blade boots with its gate open */
#define TRUST_FAILURE 5      /* a mirror's "not activated" counts as its silence: it may be about an earlier order */
#define EARLY_STOPPED 6      /* a mirror says that it has stopped before its gate has closed */
#define ORDER_FIRST 7        /* the mirror is told before the new owner is stored */
#define FORGETFUL_STORE 8    /* a write that was answered is gone after a crash */
#define OLD_ISOLATION 9      /* an isolation of an earlier life counts, although the port was opened since */
#define GIVE_BACK_BLINDLY 10 /* a silent standby counts as stopped: its mirror may still speak */
#define OPEN_STANDBY_BLINDLY 11 /* its ports are opened while a mirror on it may still speak */
#define EARLY_HANDED_OVER 12 /* the active says that it has let go, and its gate is open */
#define LEASED_EARLY 13      /* a lease is stored before the active's gate is timed */
#define COUNT_EARLY 14       /* a lease is counted out while the mirror still grants */
#define DISARM_FIRST 15      /* the gate is kept open without a timeout before that is stored */
#define RESTART_FORGETS 16   /* a restarted host-agent says that it holds nothing, and its gate is open */
#define FAILED_IS_SILENT 17  /* an application that failed counts as a blade that is silent outside */
#define LET_GO_FORGOTTEN 18  /* what a blade has let go of it serves under an older term, when that order comes late */
#define CLOSING_IS_CLEAR 19  /* a mirror that is being stopped says what one says that follows: its gate may be open */
#define STALE_STOPPED 20     /* "stopped" under the present term counts as evidence: it is about the order before it */

/* kinds of failures: bits of KINDS */
#define POWER 1        /* an active loses its power */
#define FREEZE 2       /* an active stands still, and goes on */
#define BLIND 4        /* both observers lose a healthy active */
#define CRASH 8        /* the control-server dies, between any two steps, and starts again */
#define CUT 16         /* a stream ends, with what was under way */
#define SWITCH 32      /* the switch refuses, until it is mended */
#define LIE 64         /* the power driver says off of a blade that is on */
#define GUEST 128      /* a guest dies */
#define STANDBY 256    /* the standby loses its power */
#define RESTART_A 512  /* an active's host-agent is restarted */
#define RESTART_S 1024 /* the standby's host-agent is restarted */
#define APPLICATION 2048 /* an application fails */
#define SLOW 4096      /* the mirror's activation passes its deadline */

c_decl {
\#include <stdlib.h>
  static int setting(const char *name, int otherwise) { return getenv(name) ? atoi(getenv(name)) : otherwise; }
}

mtype = { HelloServing, HelloHolds, HelloEmpty, HelloMirror, HelloMirrorServes, HelloHost, HelloHostBegun,
          Serve, StandDown, HandOver, Activate, RunMirror, Move, ArmLease, DisarmLease, AllowGrants, StopGrants,
          Stopped, Serving, HandedOver, NotHandedOver, Failed, Timed,
          Synced, Following, Activated, NotActivated, Moved, NotMoved, GrantsStopped }
mtype = { AtActive, AtMirror, AtHost }
mtype = { Starting, Served, AwaitHandOver, Evidence, Activating, GiveBack, OnMirror, Moving, OnHost, Gone }
mtype = { Nothing, Parked, Opening, ServingHost, Closing, HandingOver,
                Mirroring, Readying, OpeningMirror, Failing, ServingMirror, ClosingMirror, Blocking, Blocked, Committed }
mtype = { None, ThenServe, ThenActivate, ThenMove, ThenMoved, ThenLeased, ThenExposed }
mtype = { Idle, Isolate, Isolated, NotIsolated, Readmit, Readmitted, PowerOff, PoweredOff, NotOff }

/* the store: compare-and-set of all four */
byte term[ROLES] = 1;
byte reserved[ROLES];
mtype place[ROLES] = AtActive;
bool leased[ROLES];

/* the world */
bool up[ROLES] = true, frozen[ROLES], port[ROLES] = true, gateA[ROLES] = true, timed[ROLES];
bool application[ROLES] = true;
bool upS = true, portS = true;
bool gateM[ROLES], gateH[ROLES], guest[ROLES] = true, whole[ROLES] = true, grants[ROLES];

/* the host-agents: the active's and the standby's */
mtype stageA[ROLES] = ServingHost;
byte termA[ROLES] = 1, letGo[ROLES], floor[ROLES];
byte armed[ROLES];  /* the number of the lease order; 0: none */
bool untime[ROLES];
mtype stageS[ROLES] = Mirroring;
byte termS[ROLES] = 1, former[ROLES], hostTerm[ROLES];

/* streams: 0 ended, 1 its Hello is under way, 2 open */
byte streamA[ROLES] = 2, streamS = 2;
chan toA[ROLES] = [6] of { mtype, byte };
chan toS[ROLES] = [6] of { mtype, byte };
chan fromA[ROLES] = [6] of { mtype, byte };
chan fromS[ROLES] = [6] of { mtype, byte };

/* the control-server's memory */
mtype ctl[ROLES] = Served;
mtype after[ROLES] = None;
bool written[ROLES];
byte newTerm[ROLES], newReserved[ROLES];
mtype newPlace[ROLES] = AtActive;
bool newLeased[ROLES];
mtype switchA[ROLES] = Idle, switchS = Idle, powerA[ROLES] = Idle, powerS = Idle;
bool refused[ROLES], silent[ROLES], synced[ROLES] = true, heard[ROLES], remembered[ROLES];
byte seen[ROLES] = 1;  /* the highest term that anybody mentioned whose word counts */
byte handTerm[ROLES], arming[ROLES];
byte lease[ROLES];  /* the number of the last lease order: never used twice, not even by a later life */
byte said[ROLES] = 1;  /* the term that a mirror which cannot speak said last it follows; 255: there is none */
bool due[ROLES];  /* its power is cut if it is silent still */
bool undone[ROLES], counting[ROLES], refreshed[ROLES];
bool empty_handed[ROLES], wanted[ROLES];  /* wanted: a switchover, when the lease is let go of */

/* how much of everything in one history */
short kinds;
byte left, moves, hands, planted;
byte untrue;  /* the switch refused once, or the power driver lied: both together leave nothing that tells the truth */
bool leases, has_power, broken, lies;
byte user[32];  /* who served under a term; 0: nobody */

#define speaksA(r) (gateA[r] && up[r] && !frozen[r] && port[r])
#define speaksM(r) (gateM[r] && guest[r] && portS)
#define speaksH(r) (gateH[r] && portS)
#define one_owner(r) (!(speaksA(r) && speaksM(r)) && !(speaksA(r) && speaksH(r)) && !(speaksM(r) && speaksH(r)))
#define uses(r, t, p) assert(user[r * TERMS + t] == 0 || user[r * TERMS + t] == p); user[r * TERMS + t] = p
#define highest(r) (term[r] > reserved[r] -> term[r] : reserved[r])
#define next_term(r) (seen[r] + 1)
#define clear(q) ((place[q] != AtActive || said[q] == 255 || said[q] == term[q]) && after[q] == None && ctl[q] != GiveBack)

inline drop_stream_A(r) {
  do :: toA[r]?_, _ :: fromA[r]?_, _ :: empty(toA[r]) && empty(fromA[r]) -> break od;
  streamA[r] = 0
}
inline drop_streams_S(q) {
  q = 0;
  do
  :: q < ROLES ->
     do :: toS[q]?_, _ :: fromS[q]?_, _ :: empty(toS[q]) && empty(fromS[q]) -> break od;
     synced[q] = false; q++
  :: else -> break
  od;
  q = 0; streamS = 0
}
inline power_off_A(r) {  /* its streams die with it */
  up[r] = false; frozen[r] = false; gateA[r] = false; timed[r] = false; armed[r] = 0; untime[r] = false;
  stageA[r] = Nothing; termA[r] = 0; letGo[r] = 0; floor[r] = 0; application[r] = true;
  drop_stream_A(r)
}
inline power_off_S(q) {
  upS = false;
  drop_streams_S(q);
  do
  :: q < ROLES ->
     gateM[q] = false; gateH[q] = false; guest[q] = true; whole[q] = false; grants[q] = false;
     stageS[q] = Nothing; termS[q] = 0; former[q] = 0; hostTerm[q] = 0; q++
  :: else -> break
  od;
  q = 0
}

#include "ownership_control.pml"
#include "ownership_active.pml"
#include "ownership_standby.pml"
#include "ownership_failures.pml"

active proctype monitor() {
end:
  atomic { !one_owner(0) || !one_owner(ROLES - 1) -> assert(false) }
}

init {
  atomic {
    c_code {
      now.kinds = setting("KINDS", 0); now.left = setting("FAILURES", 1); now.leases = setting("LEASES", 0);
      now.moves = setting("MOVES", 1); now.hands = setting("HANDS", 1); now.planted = setting("PLANTED", 0);
    };
    if :: has_power = true :: has_power = false fi;
    user[1] = AtActive; user[(ROLES - 1) * TERMS + 1] = AtActive;
    run control(0); run active_agent(0); run standby_agent(0);
    if
    :: ROLES == 2 -> run control(ROLES - 1); run active_agent(ROLES - 1); run standby_agent(ROLES - 1)
    :: else
    fi;
    run failures()
  }
}
