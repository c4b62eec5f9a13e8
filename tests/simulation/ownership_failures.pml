/* SPDX-License-Identifier: Apache-2.0
 *
 * What goes wrong, and how it is mended.
 */
#define may(kind) ((kinds & kind) && left > 0)

/* A crash forgets everything but the store; what was asked of it is done by then, or never. */
inline crash(r) {
  r = 0;
  do
  :: r < ROLES ->
     if
     :: after[r] != None && !written[r] -> if :: write(r) :: skip fi
     :: after[r] != None && written[r] -> skip
     :: planted == FORGETFUL_STORE && place[r] == AtMirror && reserved[r] == 0 -> place[r] = AtActive; term[r]--
     :: else
     fi;
     after[r] = None; nothing_pending(r);
     switchA[r] = Idle; powerA[r] = Idle; refused[r] = false; silent[r] = false; due[r] = false; heard[r] = false;
     seen[r] = highest(r); handTerm[r] = 0; said[r] = 0; undone[r] = false; forget_lease(r);
     empty_handed[r] = false; wanted[r] = false; synced[r] = false;
     drop_stream_A(r);
     ctl[r] = Starting;
     if :: place[r] != AtActive -> switchA[r] = Isolate :: else fi;
     r++
  :: else -> break
  od;
  switchS = Idle; powerS = Idle;
  drop_streams_S(r)
}

inline restart_A(r) {  /* blade_adopt.cpp; what it wrote down last may be older than what it did last */
  drop_stream_A(r);
  if
  :: stageA[r] == HandingOver -> letGo[r] = 0; stageA[r] = (gateA[r] -> ServingHost : Parked)
  :: stageA[r] == ServingHost -> if :: gateA[r] -> skip :: stageA[r] = Parked fi
  :: stageA[r] == Opening -> stageA[r] = Parked
  :: stageA[r] == Closing -> letGo[r] = 0
  :: else
  fi;
  if :: planted == RESTART_FORGETS -> stageA[r] = Nothing; termA[r] = 0 :: else fi;
  untime[r] = false; floor[r] = 0
}
inline restart_S(r) {
  drop_streams_S(r);
  do
  :: r < ROLES ->
     if
     :: stageS[r] == OpeningMirror || stageS[r] == Failing -> stageS[r] = Readying
     :: else
     fi;
     r++
  :: else -> break
  od;
  r = 0
}

/* What meets one active or its role. */
#define strikes(q) \
  :: atomic { may(POWER) && up[q] -> left--; power_off_A(q) } \
  :: atomic { !up[q] -> up[q] = true; gateA[q] = (planted == GATE_AT_BOOT) } \
  :: atomic { may(FREEZE) && up[q] && !frozen[q] -> left--; frozen[q] = true } \
  :: atomic { frozen[q] -> frozen[q] = false } \
  :: atomic { may(CUT) && streamA[q] > 0 -> left--; drop_stream_A(q) } \
  :: atomic { may(GUEST) && guest[q] -> left--; guest[q] = false; whole[q] = false; grants[q] = false } \
  :: atomic { may(RESTART_A) && up[q] && !frozen[q] -> left--; restart_A(q) } \
  :: atomic { may(APPLICATION) && application[q] && stageA[q] == ServingHost && up[q] && !frozen[q] -> left--; \
       application[q] = false; report_A(q, Failed, termA[q]) }

proctype failures() {
  byte r;
end:
  do
  strikes(0)
#if ROLES == 2
  strikes(1)
#endif
  :: atomic { may(CRASH) -> left--; crash(r) }
  :: atomic { may(CUT) && streamS > 0 -> left--; drop_streams_S(r) }
  :: atomic { may(SWITCH) && !broken && untrue != LIE -> left--; broken = true; untrue = SWITCH }
  :: atomic { broken -> broken = false }
  :: atomic { may(LIE) && untrue == 0 -> left--; lies = true; untrue = LIE }
  :: atomic { may(STANDBY) && upS -> left--; power_off_S(r) }
  :: atomic { !upS -> upS = true }
  :: atomic { may(RESTART_S) && upS -> left--; restart_S(r) }
  od
}
