# How does plain OTP compare: one GenServer for each session, a Registry for their names, a DynamicSupervisor?
# The same suites as in bench/suites, with the same names of figures.
#
#   elixir --erl "+S 1 +P 5000000" otp.exs SESSIONS SIZES BATCH EFFORT RUNS     (SIZES: 1000,10000)
#
# Prints one JSON line. OTP has no expiry of its own: the sweep here looks for those whose registered activity is old.

:logger.set_primary_config(:level, :none)

defmodule Session do
  use GenServer, restart: :temporary

  def start_link({id, state}), do: GenServer.start_link(__MODULE__, state, name: via(id))
  def via(id), do: {:via, Registry, {Sessions, id, :os.system_time(:millisecond)}}
  def address(id), do: {:via, Registry, {Sessions, id}}

  @impl true
  def init(:refused), do: :ignore
  def init(state), do: {:ok, state}

  @impl true
  def handle_call(:get_state, _from, state), do: {:reply, {:ok, state}, state}

  @impl true
  def handle_cast({:put, key, value}, state), do: {:noreply, Map.put(state, key, value)}
end

defmodule Measure do
  def rate(ops, fun), do: ops * 1_000_000 / max(micros(fun), 1)

  def micros(fun) do
    {micros, _} = :timer.tc(fun)
    micros
  end

  def median(values) do
    sorted = Enum.sort(values)
    count = length(sorted)
    (Enum.at(sorted, div(count - 1, 2)) + Enum.at(sorted, div(count, 2))) / 2
  end

  def memory do
    Enum.each(Process.list(), &:erlang.garbage_collect/1)
    :erlang.memory(:total)
  end

  def rounds(count, ids, fun), do: Enum.each(1..count, fn _ -> Enum.each(ids, fun) end)

  def clients(count, rounds, ids, fun) do
    1..count
    |> Enum.map(fn client ->
      {a, b} = Enum.split(ids, div(client * length(ids), count))
      Task.async(fn -> rounds(rounds, b ++ a, fun) end)
    end)
    |> Task.await_many(:infinity)
  end
end

defmodule Bench do
  import Measure

  @idle_timeout 3_600_000

  def create(id) do
    {:ok, _pid} = DynamicSupervisor.start_child(Sup, {Session, {id, %{user_id: 42, count: 0, theme: "dark"}}})
  end

  def get(id), do: {:ok, %{user_id: 42}} = GenServer.call(Session.address(id), :get_state)
  def put(id), do: GenServer.cast(Session.address(id), {:put, :count, 1})

  def lookup(id) do
    [{pid, _}] = Registry.lookup(Sessions, id)
    pid
  end

  def terminate(id), do: :ok = DynamicSupervisor.terminate_child(Sup, lookup(id))

  # The Registry forgets the names of ended processes when it gets their exit signals.
  def settled(expected) do
    if Registry.count(Sessions) == expected do
      :ok
    else
      Process.sleep(1)
      settled(expected)
    end
  end

  def sweep(cutoff) do
    expired = Registry.select(Sessions, [{{:_, :"$1", :"$2"}, [{:<, :"$2", cutoff}], [:"$1"]}])
    Enum.each(expired, &DynamicSupervisor.terminate_child(Sup, &1))
    length(expired)
  end

  def ids(n), do: Enum.map(1..n, &"session_#{&1}")

  def workload(n, effort) do
    count = &max(round(&1 * effort), 1)
    ids = ids(n)
    targets = ids |> Enum.take_every(max(div(n, 1_000), 1)) |> Enum.take(1_000)
    t = length(targets)

    before = memory()
    creates = rate(n, fn -> Enum.each(ids, &create/1) end)
    bytes = (memory() - before) / n
    seq = rate(count.(200) * t, fn -> rounds(count.(200), targets, &get/1) end)
    conc = rate(100 * count.(10) * t, fn -> clients(100, count.(10), targets, &get/1) end)

    casts =
      rate(count.(500) * t, fn ->
        rounds(count.(500), targets, &put/1)
        Enum.each(targets, &get/1)
      end)

    passes = count.(max(div(1_000_000, n), 1))
    lookups = rate(passes * n, fn -> rounds(passes, ids, &lookup/1) end)
    terminates = rate(n, fn -> Enum.each(ids, &terminate/1) end)
    settled(0)

    [
      creates_per_s: creates,
      bytes_per_session: bytes,
      calls_seq_per_s: seq,
      calls_conc_per_s: conc,
      casts_per_s: casts,
      lookups_per_s: lookups,
      terminates_per_s: terminates
    ]
  end

  def growth(sizes, effort), do: Enum.flat_map(sizes, &size(&1, effort))

  defp size(n, effort) do
    ids = ids(n)
    repetitions = floor(30_000 * effort / n) |> max(1) |> min(50)
    passes = max(round(1_000_000 * effort / n / repetitions), 1)

    runs =
      for repetition <- 1..repetitions do
        weighs = repetition == repetitions and n >= 1_000
        before = if weighs, do: memory()
        create = rate(n, fn -> Enum.each(ids, &create/1) end)
        bytes = if weighs, do: (memory() - before) / n
        lookup = rate(passes * n, fn -> rounds(passes, ids, &lookup/1) end)
        sweep = micros(fn -> 0 = sweep(:os.system_time(:millisecond) - @idle_timeout) end) / 1_000
        terminate = rate(n, fn -> Enum.each(ids, &terminate/1) end)
        settled(0)
        [create: create, bytes: bytes, lookup: lookup, sweep_ms: sweep, end: terminate]
      end

    for key <- [:create, :bytes, :lookup, :sweep_ms, :end],
        values = for(run <- runs, run[key], do: run[key]),
        values != [],
        do: {"#{key}@#{n}", median(values)}
  end

  def paths(n, effort, runs) do
    ids = ids(n)

    batches =
      for _ <- 1..runs do
        start = rate(n, fn -> Enum.each(ids, &create/1) end)
        stop = rate(n, fn -> Enum.each(ids, &terminate/1) end)
        settled(0)
        {start, stop}
      end

    cleanups =
      for _ <- 1..runs do
        Enum.each(ids, &create/1)
        rate = rate(n, fn -> ^n = sweep(:os.system_time(:millisecond) + 1_000) end)
        settled(0)
        rate
      end

    Enum.each(ids, &create/1)
    targets = Enum.take(ids, max(round(1_000 * effort), 100))
    t = length(targets)

    calls =
      for count <- [10, 50, 100] do
        rounds = max(round(100_000 * effort / count / t), 1)
        {"calls@#{count}", repeat(runs, count * rounds * t, fn -> clients(count, rounds, targets, &get/1) end)}
      end

    broadcast =
      repeat(runs, 10 * n, fn ->
        for _ <- 1..10 do
          pids = Registry.select(Sessions, [{{:_, :"$1", :_}, [], [:"$1"]}])
          Enum.each(pids, &GenServer.cast(&1, {:put, :count, 1}))
        end

        Enum.each(ids, &get/1)
      end)

    count = max(round(20_000 * effort), 1_000)

    missing =
      repeat(runs, count, fn ->
        Enum.each(1..count, fn i ->
          try do
            GenServer.call(Session.address("missing_#{i}"), :get_state)
          catch
            :exit, {:noproc, _} -> :ok
          end
        end)
      end)

    refused =
      repeat(runs, count, fn ->
        Enum.each(1..count, fn i ->
          :ignore = DynamicSupervisor.start_child(Sup, {Session, {"not an id #{i}", :refused}})
        end)
      end)

    [
      {"batch_start", median(for {start, _} <- batches, do: start)},
      {"batch_end", median(for {_, stop} <- batches, do: stop)},
      {"cleanup", median(cleanups)},
      {"broadcast", broadcast},
      {"call_missing", missing},
      {"start_refused", refused}
    ] ++ calls
  end

  defp repeat(runs, ops, fun), do: median(for _ <- 1..runs, do: rate(ops, fun))
end

{:ok, _} = Registry.start_link(keys: :unique, name: Sessions)
{:ok, _} = DynamicSupervisor.start_link(name: Sup, strategy: :one_for_one)

[sessions, sizes, batch, effort, runs] = System.argv()
{effort, _} = Float.parse(effort)
sizes = sizes |> String.split(",") |> Enum.map(&String.to_integer/1)

(Bench.workload(String.to_integer(sessions), effort) ++
   Bench.growth(sizes, effort) ++ Bench.paths(String.to_integer(batch), effort, String.to_integer(runs)))
|> Enum.map_join(",", fn {key, value} -> ~s("#{key}":#{:erlang.float_to_binary(value * 1.0, decimals: 3)}) end)
|> then(&IO.puts("{#{&1}}"))
