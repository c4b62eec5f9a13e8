/* SPDX-License-Identifier: Apache-2.0
 *
 * An active's host-agent (host-agent/core/blade_orders.cpp, blade_answers.cpp, blade_hand_over.cpp, blade_lease.cpp)
 * and the kernel's gate, which does what it was told whatever becomes of the daemon.
 *   Nothing ─serve─► Opening ─► ServingHost ─stand down─► Closing ─► Nothing: the term is forgotten with the role
 *                       ▲            └─hand over─► HandingOver ─shipped─► Closing
 *                       └──taken back───────────────────┘
 */
inline report_A(r, what, t) {
  if :: streamA[r] > 0 && !(fromA[r]??[eval(what), eval(t)]) -> assert(nfull(fromA[r])); fromA[r]!what, t :: else fi
}

/* What it has let go of it never serves under an older term: an order may have crossed its word. */
inline let_go(r, t) { if :: t > floor[r] && planted != LET_GO_FORGOTTEN -> floor[r] = t :: else fi }

inline order_at_A(r, what, t) {
  if
  :: what == Serve && stageA[r] == Nothing && t < floor[r] -> report_A(r, Failed, t)
  :: what == Serve && t >= termA[r] && !(stageA[r] == Nothing && t < floor[r]) ->
     if
     :: stageA[r] == ServingHost && t == termA[r] -> application[r] = true; report_A(r, Serving, t)
     :: stageA[r] == HandingOver && t == termA[r] -> report_A(r, NotHandedOver, letGo[r]); letGo[r] = 0; stageA[r] = Opening
     :: stageA[r] == Opening && t == termA[r] -> skip
     :: else -> stageA[r] = Opening; termA[r] = t; letGo[r] = 0; armed[r] = 0; untime[r] = false
     fi
  :: what == StandDown && stageA[r] == Nothing -> let_go(r, t); report_A(r, Stopped, t)
  :: what == StandDown && stageA[r] != Nothing && t > termA[r] ->
     termA[r] = t; stageA[r] = Closing; letGo[r] = 0; armed[r] = 0; untime[r] = false
  :: what == HandOver && stageA[r] == Nothing -> let_go(r, t); report_A(r, Stopped, t)
  :: what == HandOver && stageA[r] != Nothing && t > termA[r] && !(stageA[r] == HandingOver && t == letGo[r]) ->
     if
     :: stageA[r] == ServingHost && application[r] ->
        stageA[r] = HandingOver; letGo[r] = t; armed[r] = 0; untime[r] = false
     :: else -> report_A(r, NotHandedOver, t)
     fi
  :: what == ArmLease && stageA[r] == ServingHost && t % TERMS == termA[r] ->
     armed[r] = t / TERMS;
     if :: timed[r] && !untime[r] -> report_A(r, Timed, armed[r]) :: else fi
  :: what == DisarmLease && stageA[r] == ServingHost && t == termA[r] -> armed[r] = 0; untime[r] = true
  :: else
  fi
}

proctype active_agent(byte r) {
  mtype what; byte t;
end:
  do
  :: atomic { up[r] && !frozen[r] && nempty(toA[r]) -> toA[r]?what, t; order_at_A(r, what, t); what = 0; t = 0 }
  :: atomic { up[r] && !frozen[r] && streamA[r] == 0 -> streamA[r] = 1; floor[r] = 0;
       if
       :: stageA[r] == Nothing -> fromA[r]!HelloEmpty, 0
       :: stageA[r] == ServingHost -> fromA[r]!HelloServing, termA[r];
          if :: !application[r] -> fromA[r]!Failed, termA[r] :: else fi;
          if :: armed[r] > 0 && timed[r] && !untime[r] -> fromA[r]!Timed, armed[r] :: else fi
       :: else -> fromA[r]!HelloHolds, termA[r]
       fi }
  :: atomic { up[r] && !frozen[r] && stageA[r] == Opening ->
       uses(r, termA[r], AtActive); gateA[r] = true; timed[r] = false; stageA[r] = ServingHost;
       application[r] = true; report_A(r, Serving, termA[r]) }
  :: atomic { up[r] && !frozen[r] && stageA[r] == Closing ->
       gateA[r] = false; timed[r] = false; stageA[r] = Nothing;
       if
       :: letGo[r] > 0 && planted == EARLY_HANDED_OVER -> letGo[r] = 0
       :: letGo[r] > 0 && planted != EARLY_HANDED_OVER -> report_A(r, HandedOver, termA[r]); letGo[r] = 0
       :: else -> report_A(r, Stopped, termA[r])
       fi;
       let_go(r, termA[r]); termA[r] = 0 }
  /* all is shipped, and there is no way back; or it fails, or is late */
  :: atomic { up[r] && !frozen[r] && stageA[r] == HandingOver ->
       termA[r] = letGo[r]; stageA[r] = Closing;
       if :: planted == EARLY_HANDED_OVER -> report_A(r, HandedOver, termA[r]) :: else fi }
  :: atomic { up[r] && !frozen[r] && stageA[r] == HandingOver ->
       report_A(r, NotHandedOver, letGo[r]); letGo[r] = 0; stageA[r] = Opening }
  /* a grant came: the gate is timed, is open anew, or for a while longer */
  :: atomic { up[r] && !frozen[r] && armed[r] > 0 && !untime[r] && stageA[r] == ServingHost && grants[r] && !timed[r] ->
       timed[r] = true; gateA[r] = true; report_A(r, Timed, armed[r]) }
  :: atomic { up[r] && !frozen[r] && armed[r] > 0 && !untime[r] && stageA[r] == ServingHost && grants[r] && timed[r] && !gateA[r] ->
       gateA[r] = true; refreshed[r] = counting[r] }
  :: atomic { up[r] && !frozen[r] && armed[r] > 0 && !untime[r] && stageA[r] == ServingHost && grants[r] && timed[r] && gateA[r] &&
       counting[r] && !refreshed[r] -> refreshed[r] = true }
  :: atomic { up[r] && !frozen[r] && untime[r] && stageA[r] == ServingHost ->
       untime[r] = false; timed[r] = false; gateA[r] = true }
  /* the kernel: no grant came in time */
  :: atomic { timed[r] && gateA[r] && !grants[r] -> gateA[r] = false }
  :: atomic { up[r] && !frozen[r] && untime[r] && stageA[r] != ServingHost -> untime[r] = false }
  od
}
