use super::*;

const MIB: usize = 1 << 20;

fn needs() -> LanguageNeeds {
    LanguageNeeds {
        embedding: 70 * MIB,
        blocks: vec![100 * MIB; 4],
        output: 130 * MIB,
        cache: 20 * MIB,
        compute: 50 * MIB,
        host_compute: 10 * MIB,
    }
}

fn gpu(name: &str, kind: DeviceKind) -> DeviceInfo {
    DeviceInfo {
        name: name.into(),
        description: String::new(),
        kind,
        memory_free: 1000 * MIB,
        memory_total: 1000 * MIB,
        maps_host_memory: false,
    }
}

#[test]
fn layers_fit_from_the_output_down() {
    let fitting = |mib: usize| needs().layers_that_fit(&[mib * MIB], &[]);
    assert_eq!([fitting(0), fitting(179), fitting(180), fitting(299)], [0, 0, 1, 1]);
    assert_eq!([fitting(300), fitting(659), fitting(660), fitting(9000)], [2, 4, 5, 5]);
    for n in 0..=5 {
        assert!(needs().layers_that_fit(&[needs().bytes(n)], &[]) >= n, "{n} layers");
    }
}

#[test]
fn several_gpus_share_and_each_needs_room_for_a_layer_more() {
    let fitting = |free: &[usize], split: &[f32]| {
        let free: Vec<_> = free.iter().map(|m| m * MIB).collect();
        needs().layers_that_fit(&free, split)
    };
    // 610 MiB of layers, 180 on each for intermediate values and one layer more.
    assert_eq!(fitting(&[485, 485], &[]), 5);
    assert_eq!(fitting(&[484, 484], &[]), 4);
    assert_eq!(fitting(&[9000, 180], &[1.0, 1.0]), 0, "half of nothing is nothing");
    assert_eq!(fitting(&[9000, 0], &[1.0, 0.0]), 5, "one without a share needs no room");
    assert_eq!(fitting(&[638, 333], &[3.0, 1.0]), 5);
}

#[test]
fn integrated_gpus_are_for_machines_without_others() {
    let (cpu, big) = (gpu("CPU", DeviceKind::Cpu), gpu("CUDA0", DeviceKind::Gpu));
    let small = gpu("Vulkan1", DeviceKind::IntegratedGpu);
    let names = |options: DeviceOptions, all: &[&DeviceInfo]| {
        let found = gpus(&options, all.iter().map(|d| (*d).clone()).collect());
        found.map(|gpus| gpus.into_iter().map(|d| d.name).collect::<Vec<_>>())
    };
    let any = DeviceOptions::default;
    let named = |name: &str| DeviceOptions { device: Some(name.into()), ..any() };
    assert_eq!(names(any(), &[&cpu, &small, &big]).unwrap(), ["CUDA0"]);
    assert_eq!(names(any(), &[&cpu, &small]).unwrap(), ["Vulkan1"]);
    assert!(names(any(), &[&cpu]).unwrap().is_empty());
    assert!(names(named("cpu"), &[&cpu, &big]).unwrap().is_empty());
    assert_eq!(names(named("vulkan1"), &[&cpu, &small, &big]).unwrap(), ["Vulkan1"]);
    let e = names(named("cuda1"), &[&cpu, &big]).unwrap_err().to_string();
    assert!(e.contains("cuda1") && e.contains("CUDA0"), "{e}");
}

#[test]
fn numbers_of_gpus_and_shares_are_checked() {
    let two = || vec![gpu("CUDA0", DeviceKind::Gpu), gpu("CUDA1", DeviceKind::Gpu)];
    let check = |main_gpu, split: &[f32]| {
        let tensor_split = split.to_vec();
        gpus(&DeviceOptions { main_gpu, tensor_split, ..DeviceOptions::default() }, two())
    };
    assert_eq!(check(Some(1), &[]).unwrap()[0].name, "CUDA1");
    assert!(check(Some(2), &[]).unwrap_err().to_string().contains("main-gpu"));
    assert_eq!(check(None, &[3.0, 1.0]).unwrap().len(), 2);
    for split in [&[1.0][..], &[0.0, 0.0], &[-1.0, 2.0], &[f32::NAN, 1.0], &[1.0, 1.0, 1.0]] {
        assert!(check(None, split).unwrap_err().to_string().contains("tensor-split"), "{split:?}");
    }
}
