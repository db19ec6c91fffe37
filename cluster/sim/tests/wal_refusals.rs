//! What the log refuses, what it waits for, and what it gives back, on a simulated disk.

use isx_port::Disk;
use isx_sim::disk::SimDisk;
use isx_wal::{Completion, Entry, Group, LogIdentity, Options, Record, Ticket, Wal, WalError, limits};

const GROUP: Group = Group(7);

fn options() -> Options {
    let mut options = Options::new("state/wal", LogIdentity(*b"the node of test"));
    options.segment_bytes_first = 4096;
    options.segment_bytes_max = 4096;
    options
}

fn options_with(change: impl Fn(&mut Options)) -> Options {
    let mut options = options();
    change(&mut options);
    options
}

fn open(disk: &SimDisk) -> Wal {
    Wal::open(disk, options()).expect("a sound log").0
}

fn entry(index: u64, bytes: usize) -> Record {
    Record::Entry(Entry { index, term: 3, payload: vec![index as u8 + 1; bytes].into() })
}

fn write_all(wal: &mut Wal, disk: &SimDisk) -> Result<Completion, WalError> {
    let mut last = Completion { durable: wal.durable(), full: false };
    while let Some(job) = wal.take_job() {
        last = wal.completed(job.perform(disk))?;
        if last.full {
            break;
        }
    }
    Ok(last)
}

/// A log of `count` entries of 1,000 bytes: three to a segment.
fn filled(disk: &SimDisk, count: u64) -> Wal {
    let mut wal = open(disk);
    for index in 0..count {
        wal.submit(GROUP, entry(index, 1000)).expect("a sound log");
        write_all(&mut wal, disk).expect("a sound log");
    }
    wal
}

#[test]
fn entries_are_readable_before_they_are_durable_and_after_they_left_memory() {
    let disk = SimDisk::new();
    let mut wal = Wal::open(&disk, options_with(|options| options.cache_bytes = 1500)).unwrap().0;
    for index in 5..15 {
        wal.submit(GROUP, entry(index, 1000)).unwrap();
    }
    assert!(wal.entries(GROUP, 5..15, usize::MAX).is_ready());
    write_all(&mut wal, &disk).unwrap();
    let fetch = wal.entries(GROUP, 0..100, 3000);
    assert!(!fetch.is_ready());
    let indexes: Vec<u64> = fetch.perform(&disk).unwrap().iter().map(|entry| entry.index).collect();
    assert_eq!(indexes, [5, 6, 7]);
    assert_eq!(wal.entries(GROUP, 9..10, 0).count(), 1, "at least one, whatever the bound");
    assert!(wal.entries(GROUP, 14..15, 0).is_ready(), "the last ones are in memory");
    assert_eq!((wal.range(GROUP), wal.term(GROUP, 9), wal.term(GROUP, 15)), (5..15, Some(3), None));
}

#[test]
fn what_is_submitted_while_a_job_is_out_goes_with_the_next() {
    let disk = SimDisk::new();
    let mut wal = open(&disk);
    let first = wal.submit(GROUP, entry(0, 10)).unwrap();
    let job = wal.take_job().unwrap();
    let vote = wal.submit(GROUP, Record::Vote(b"vote".as_slice().into())).unwrap();
    let last = wal.submit(Group(8), entry(4, 10)).unwrap();
    assert!(wal.take_job().is_none(), "one job at a time");
    assert_eq!(wal.completed(job.perform(&disk)).unwrap(), Completion { durable: first, full: false });
    let before = disk.operation_count();
    assert_eq!(write_all(&mut wal, &disk).unwrap().durable, last);
    assert_eq!(disk.operation_count() - before, 2, "one write and one sync for all");
    assert!(first < vote && vote < last);
}

#[test]
fn submissions_that_cannot_be_are_refused_whole() {
    let disk = SimDisk::new();
    let mut wal = filled(&disk, 2);
    let before = wal.submitted();
    let gap = wal.submit(GROUP, entry(3, 1)).unwrap_err();
    assert_eq!(gap.to_string(), "group 7 expects entry 2, not 3");
    assert!(matches!(wal.submit(GROUP, entry(1, 1)), Err(WalError::Gap { expected: 2, found: 1, .. })));
    assert!(matches!(wal.submit(GROUP, entry(2, limits::RECORD_BYTES_MAX + 1)), Err(WalError::TooLarge { .. })));
    let vote = vec![0; limits::STATE_BYTES_MAX + 1];
    assert!(matches!(wal.submit(GROUP, Record::Vote(vote.into())), Err(WalError::TooLarge { .. })));
    assert_eq!(wal.submitted(), before);
    for group in 1..limits::GROUPS_MAX as u64 {
        wal.submit(Group(1000 + group), Record::Truncate { from: 0 }).unwrap();
    }
    assert!(matches!(wal.submit(Group(1), Record::Truncate { from: 0 }), Err(WalError::TooManyGroups)));
}

#[test]
fn too_much_waiting_is_busy() {
    let disk = SimDisk::new();
    let mut wal = open(&disk);
    let payload: isx_wal::Bytes = vec![1; limits::RECORD_BYTES_MAX].into();
    let mut submit = |index| wal.submit(GROUP, Record::Entry(Entry { index, term: 1, payload: payload.clone() }));
    let refused = (0..).find_map(|index| submit(index).err()).unwrap();
    assert!(matches!(refused, WalError::Busy), "{refused}");
}

#[test]
fn a_full_disk_waits() {
    let disk = SimDisk::new();
    let mut wal = filled(&disk, 3);
    disk.set_capacity(Some(disk.used_bytes() + 1000));
    let ticket = wal.submit(GROUP, entry(3, 1000)).unwrap();
    let contents = disk.contents(&disk.paths()[0]);
    let full = write_all(&mut wal, &disk).unwrap();
    assert_eq!((full.full, full.durable, wal.is_full()), (true, Ticket(ticket.0 - 1), true));
    assert_eq!((disk.paths().len(), disk.contents(&disk.paths()[0])), (1, contents), "nothing was half-written");
    let held = Wal::open(&disk.fork(), options()).unwrap().1;
    assert_eq!(held.durable, full.durable);

    disk.set_capacity(None);
    let next = wal.submit(GROUP, entry(4, 1000)).unwrap();
    assert_eq!(write_all(&mut wal, &disk).unwrap(), Completion { durable: next, full: false });
    assert_eq!(open(&disk).range(GROUP), 0..5);
}

#[test]
fn a_segment_that_found_no_room_to_grow_opens() {
    let disk = SimDisk::new();
    let long = || {
        options_with(|options| {
            options.segment_bytes_first = 1 << 20;
            options.segment_bytes_max = 1 << 20;
        })
    };
    let mut wal = Wal::open(&disk, long()).unwrap().0;
    wal.submit(GROUP, entry(0, 1000)).unwrap();
    write_all(&mut wal, &disk).unwrap();
    disk.set_capacity(Some(disk.used_bytes() - 1));
    drop(Wal::open(&disk, long()).unwrap());
    assert!(disk.used_bytes() < 4096, "recovery cut what follows the last batch and had no room to allocate it again");
    assert_eq!(Wal::open(&disk, long()).unwrap().0.range(GROUP), 0..1);
}

#[test]
fn a_segment_longer_than_they_are_to_be_is_left_at_once() {
    let disk = SimDisk::new();
    let long = options_with(|options| {
        options.segment_bytes_first = 1 << 20;
        options.segment_bytes_max = 1 << 20;
    });
    let mut wal = Wal::open(&disk, long).unwrap().0;
    wal.submit(GROUP, entry(0, 1000)).unwrap();
    write_all(&mut wal, &disk).unwrap();
    drop(wal);
    let mut wal = open(&disk);
    for index in 1..3 {
        wal.submit(GROUP, entry(index, 1000)).unwrap();
        write_all(&mut wal, &disk).unwrap();
    }
    assert_eq!(disk.paths().len(), 2, "the next entries share a segment of the length that they are to have");
    wal.submit(GROUP, Record::Purge { upto: 0, mark: b"0".as_slice().into() }).unwrap();
    write_all(&mut wal, &disk).unwrap();
    assert!(disk.used_bytes() <= 2 * 4096, "{} bytes", disk.used_bytes());
    drop(wal);
    assert_eq!(open(&disk).range(GROUP), 1..3);
}

#[test]
fn purged_segments_are_removed_and_laggards_named() {
    let disk = SimDisk::new();
    let mut wal = open(&disk);
    let laggard = Group(1);
    wal.submit(laggard, entry(0, 10)).unwrap();
    for index in 0..12 {
        wal.submit(GROUP, entry(index, 1000)).unwrap();
        write_all(&mut wal, &disk).unwrap();
    }
    wal.submit(GROUP, Record::Purge { upto: 10, mark: b"10".as_slice().into() }).unwrap();
    write_all(&mut wal, &disk).unwrap();
    let segments = disk.paths().len();
    assert!(segments > 3, "the laggard holds all of {segments}");
    let named: Vec<(Group, u64)> = wal.laggards(2).iter().map(|found| (found.group, found.first)).collect();
    assert_eq!(named, [(laggard, 0)]);
    assert_eq!(wal.laggards(2)[0].held_bytes, segments as u64 * 4096);

    let held = wal.entries(laggard, 0..1, 100);
    let mut small = Wal::open(&disk, options_with(|options| options.cache_bytes = 0)).unwrap().0;
    let stored = small.entries(laggard, 0..1, 100);
    small.submit(laggard, Record::Purge { upto: 0, mark: b"0".as_slice().into() }).unwrap();
    write_all(&mut small, &disk).unwrap();
    assert_eq!(disk.paths().len(), 2, "the one with entry 11, and the one written: {:?}", disk.paths());
    assert!(held.perform(&disk).is_ok(), "what was in memory when asked for stays readable");
    assert!(matches!(stored.perform(&disk), Err(WalError::Purged { group: Group(1), index: 0 })));

    let wal = open(&disk);
    assert_eq!((wal.range(GROUP), wal.range(laggard)), (11..12, 1..1));
    assert_eq!(wal.state(GROUP).purged.unwrap().mark.as_ref(), b"10");
    assert!(wal.laggards(2).is_empty());
}

fn refusal(disk: &SimDisk) -> String {
    Wal::open(disk, options()).expect_err("damage").to_string()
}

#[test]
fn damage_is_reported_with_file_and_offset() {
    let disk = SimDisk::new();
    let wal = filled(&disk, 8);
    let paths = disk.paths();
    let check = |damage: &dyn Fn(&SimDisk), expected: &str| {
        let damaged = disk.fork();
        damage(&damaged);
        assert_eq!(refusal(&damaged), expected);
    };
    let remove = |path: &String| {
        let path = path.clone();
        move |disk: &SimDisk| disk.remove(&path).unwrap()
    };
    let damaged = "state/wal/0000000000000002.log: damaged at byte";
    check(&|disk| disk.flip(&paths[1], 8 * 700), &format!("{damaged} 593: a record's checksum"));
    check(&|disk| disk.flip(&paths[1], 8 * 20), &format!("{damaged} 0: the segment's header"));
    check(&|disk| disk.flip(&paths[1], 8 * 515), &format!("{damaged} 512: the head of a batch"));
    check(
        &|disk| disk.corrupt(&paths[1], 0, &disk.contents(&paths[2]).unwrap()[..512]),
        &format!("{damaged} 0: another segment's header"),
    );
    check(&remove(&paths[1]), &format!("{damaged} 0: the segment is missing"));
    check(&remove(&paths[0]), "group 7 lacks its entries up to 2: an older segment is gone");
    check(&remove(&paths[2]), "state/wal/0000000000000003.log: damaged at byte 0: the segment is missing");

    let fetch = Wal::open(&disk, options_with(|options| options.cache_bytes = 0)).unwrap().0.entries(GROUP, 4..5, 1);
    disk.flip(&paths[1], 8 * 2000);
    let error = fetch.perform(&disk).unwrap_err().to_string();
    assert!(error.starts_with(damaged) && error.ends_with("a record's checksum"), "{error}");
    drop(wal);
}

#[test]
fn a_log_of_another_node_or_version_is_refused() {
    let disk = SimDisk::new();
    filled(&disk, 1);
    let other = options_with(|options| options.identity = LogIdentity([1; 16]));
    assert!(matches!(Wal::open(&disk, other), Err(WalError::Foreign { .. })));
    let path = &disk.paths()[0];
    let mut header = disk.contents(path).unwrap()[..508].to_vec();
    header[8] = 9;
    let crc = crc32c(&header);
    header.extend_from_slice(&crc.to_le_bytes());
    disk.corrupt(path, 0, &header);
    assert!(matches!(Wal::open(&disk, options()), Err(WalError::Version { found: 9, .. })));
}

/// CRC-32C, bit by bit: shares nothing with the log's.
fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 })
    })
}

#[test]
fn a_seal_makes_the_loss_of_the_last_batch_visible() {
    let disk = SimDisk::new();
    let mut wal = filled(&disk, 1);
    let path = disk.paths()[0].clone();
    let lost = |disk: &SimDisk| {
        let damaged = disk.fork();
        damaged.corrupt(&path, 512, &[0; 512]);
        Wal::open(&damaged, options()).map(|(wal, _)| wal.durable())
    };
    assert_eq!(lost(&disk).unwrap(), Ticket(0), "what a torn write leaves: nothing can tell");
    wal.seal();
    write_all(&mut wal, &disk).unwrap();
    assert!(matches!(lost(&disk), Err(WalError::Damaged { offset: 512, .. })));
    assert_eq!(open(&disk).durable(), Ticket(1));
}
